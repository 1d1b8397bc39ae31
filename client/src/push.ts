// Turns pushes on and off for this browser: its subscription, here and on the server.

import type { Client } from './client.js';

type Asks = Pick<Client, 'api'>;

/** `unsupported`: by this browser (on iOS until the page is on the home screen). `denied`: the user has forbidden notifications. */
export type PushState = 'unsupported' | 'denied' | 'off' | 'on';

const isSupported = () => 'serviceWorker' in navigator && 'PushManager' in globalThis && 'Notification' in globalThis;

const PATH = '/api/push/subscriptions/';

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
 * Rejects if the user declines, if the browser has no push service, or if the server pushes nothing.
 */
export async function subscribePush(client: Asks, registration: ServiceWorkerRegistration): Promise<void> {
  if ((await Notification.requestPermission()) !== 'granted') throw new Error('the user declined');
  const answer = await client.api('/api/push/key/');
  if (!answer.ok) throw new Error(`the server pushes nothing: ${answer.status}`);
  const key = bytes(((await answer.json()) as { public_key: string }).public_key);
  const { pushManager } = registration;
  let subscription = await pushManager.getSubscription();
  const known = subscription?.options.applicationServerKey;
  if (subscription && (!known || !isSame(new Uint8Array(known), key))) {
    await subscription.unsubscribe();
    subscription = null;
  }
  subscription ??= await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key });
  const { endpoint, keys } = subscription.toJSON();
  const stored = await send(client, 'POST', { endpoint, keys });
  if (!stored.ok) throw new Error(`the server does not take the subscription: ${stored.status}`);
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

function bytes(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(binary, (letter) => letter.charCodeAt(0));
}

const isSame = (one: Uint8Array, other: Uint8Array) => one.length === other.length && one.every((byte, place) => byte === other[place]);
