// Whether this browser is told of messages while no page is open: by Web Push, where the server and the browser have it.

import { live } from './live.js';
import { pushState, subscribePush, unsubscribePush } from './pregon.js';

const registered = () => navigator.serviceWorker.register('/sw.js');

/** Subscribes this browser. A server without push, or a browser that has no push service, changes nothing: pages that are open tell as before. */
export async function beginPush() {
  if ((await pushState()) === 'unsupported') return;
  try {
    await subscribePush(live(), await registered());
  } catch (error) {
    console.info(`This browser is told nothing while no page is open: ${error.message}`);
  }
}

/** At a start: the server may have another key since, and the browser another subscription. */
export async function renewPush() {
  if ((await pushState()) === 'on') await beginPush();
}

/** Unsubscribes this browser: whoever signs out is told nothing here any more. */
export async function endPush() {
  if ((await pushState()) !== 'on') return;
  const registration = await navigator.serviceWorker.getRegistration();
  if (registration) await unsubscribePush(live(), registration).catch(() => {});
}
