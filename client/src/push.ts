// Turns pushes on and off for this browser: its subscription, here and on the server.

import type { Client } from './client.js';
import { PregonError } from './types.js';

type Asks = Pick<Client, 'api'>;

/** `unsupported`: by this browser (on iOS until the page is on the home screen). `denied`: the user has forbidden notifications. */
export type PushState = 'unsupported' | 'denied' | 'off' | 'on';

const isSupported = () => 'serviceWorker' in navigator && 'PushManager' in globalThis && 'Notification' in globalThis;

const PATH = '/api/push/subscriptions/';
/** How long the browser's push service may take to give a subscription, ms. Where it is out of reach some browsers never say so. */
const SUBSCRIBE_PATIENCE = 30_000;

/** Whether this browser is told while the user has no page open. */
export async function pushState(registration?: ServiceWorkerRegistration): Promise<PushState> {
  if (!isSupported()) return 'unsupported';
  if (Notification.permission === 'denied') return 'denied';
  const worker = registration ?? (await navigator.serviceWorker.getRegistration());
  return (await worker?.pushManager.getSubscription()) ? 'on' : 'off';
}

/**
 * Subscribes this browser, and tells the server. Call it on a click: browsers ask the user for leave then. Call it again at each start where
 * [pushState] is `on`: the server may have another key or have lost the subscription, and a browser may have renewed it.
 *
 * Rejects with a [PregonError] whose code says who acts next: `push_denied`: the user has declined, or forbids it in the browser's settings.
 * `push_unavailable`: the browser reaches no push service: offline, behind a firewall, switched off, or there is none. `push_off`: the server
 * pushes nothing. `push_refused`: the server does not take the subscription, and `text` has its reason.
 */
export async function subscribePush(client: Asks, registration: ServiceWorkerRegistration): Promise<void> {
  if ((await Notification.requestPermission()) !== 'granted') throw new PregonError('push_denied', 'notifications are not allowed');
  const answer = await client.api('/api/push/key/');
  if (!answer.ok) throw new PregonError('push_off', `the server pushes nothing: ${answer.status}`);
  const key = bytes(((await answer.json()) as { public_key: string }).public_key);
  const { pushManager } = registration;
  await active(registration);
  let subscription = await pushManager.getSubscription();
  const known = subscription?.options.applicationServerKey;
  if (subscription && (!known || !isSame(new Uint8Array(known), key))) {
    await subscription.unsubscribe();
    subscription = null;
  }
  subscription ??= await within(SUBSCRIBE_PATIENCE, pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }));
  const { endpoint, keys } = subscription.toJSON();
  const stored = await send(client, 'POST', { endpoint, keys });
  if (stored.ok) return;
  const said: unknown = await stored.json().catch(() => null);
  const reasons = Object.values((said ?? {}) as object).flat().filter((one) => typeof one === 'string');
  throw new PregonError('push_refused', reasons.join(' ') || `the server does not take the subscription: ${stored.status}`);
}

/** Unsubscribes this browser. The server is told first; if it cannot be, the push service tells it at the next push. */
export async function unsubscribePush(client: Asks, registration: ServiceWorkerRegistration): Promise<void> {
  const subscription = await registration.pushManager.getSubscription();
  if (!subscription) return;
  await send(client, 'DELETE', { endpoint: subscription.endpoint }).catch(() => {});
  await subscription.unsubscribe();
}

function send(client: Asks, method: string, body: object): Promise<Response> {
  return client.api(PATH, { method, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
}

/** Browsers subscribe by a worker that is active; one that has just been registered is not yet. */
async function active({ active, installing, waiting }: ServiceWorkerRegistration): Promise<void> {
  const coming = active ? null : (installing ?? waiting);
  if (!coming) return;
  await new Promise<void>((resolve) => {
    const look = () => ['activated', 'redundant'].includes(coming.state) && resolve();
    coming.addEventListener('statechange', look);
    look();
  });
}

/** The subscription, or the reason why there is none. */
async function within(patience: number, subscribing: Promise<PushSubscription>): Promise<PushSubscription> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('the push service does not answer')), patience);
  });
  try {
    return await Promise.race([subscribing, late]);
  } catch (error) {
    const { name, message } = error as Error;
    throw new PregonError(name === 'NotAllowedError' ? 'push_denied' : 'push_unavailable', message);
  } finally {
    clearTimeout(timer);
  }
}

function bytes(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
}

const isSame = (one: Uint8Array, other: Uint8Array) => one.length === other.length && one.every((byte, place) => byte === other[place]);
