// Whether this browser is told of messages while no page is open: by Web Push, where the server and the browser have it.

import { live } from './live.js';
import { pushedTo, setPushedTo } from './prefs.js';
import { pushState, subscribePush, unsubscribePush } from './pregon.js';
import { session } from './session.js';

/** Whether the switch is of any use: this browser and the server have push. */
export async function canPush() {
  if ((await pushState()) === 'unsupported') return false;
  const answer = await live().api('/api/push/key/').catch(() => null);
  return answer?.ok === true;
}

/** Whether the signed-in person is told here. */
export async function isPushed() {
  return pushedTo() === session().user.id && (await pushState()) === 'on';
}

/** Subscribes this browser for the signed-in person. Rejects with a code of `subscribePush`; this browser is told nothing then. */
export async function beginPush() {
  const { id } = session().user;
  const registration = await navigator.serviceWorker.register('/sw.js');
  try {
    await subscribePush(live(), registration);
  } catch (error) {
    await (await registration.pushManager.getSubscription())?.unsubscribe();
    setPushedTo(null);
    throw error;
  }
  setPushedTo(id);
}

/** At a start: the server may have another key since, and the browser another subscription. */
export async function renewPush() {
  if (!(await isPushed())) return;
  // The person has chosen already; what has failed now may work at the next start.
  const registration = await navigator.serviceWorker.register('/sw.js');
  await subscribePush(live(), registration).catch((error) => console.info(`The subscription to pushes could not be confirmed: ${error.message}`));
}

/** Unsubscribes this browser. */
export async function endPush() {
  setPushedTo(null);
  const registration = await navigator.serviceWorker?.getRegistration();
  if (registration) await unsubscribePush(live(), registration).catch(() => {});
}

/** At a logout, which ends the subscription at the server: whoever signs in next is not told what they have not asked for. */
export async function forgetPush(user) {
  if (pushedTo() !== user) return;
  setPushedTo(null);
  const registration = await navigator.serviceWorker?.getRegistration();
  await (await registration?.pushManager.getSubscription())?.unsubscribe();
}
