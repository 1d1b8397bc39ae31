// A real service worker in a real browser, to which DevTools deliver what a push service would; and the page's half, with a push service
// of the tests' own making.

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { BrowserContext, CDPSession, Page } from 'playwright-core';
import { Site } from './support/browser.js';
import { until } from './support/until.js';
import { pushState, subscribePush, unsubscribePush } from '../src/push.js';

let site: Site;
let context: BrowserContext;
let page: Page;
let devtools: CDPSession;

beforeAll(async () => {
  site = await Site.start();
  context = await site.browser.newContext();
  await context.grantPermissions(['notifications'], { origin: site.url });
  page = await context.newPage();
  await page.goto(site.url);
  devtools = await context.newCDPSession(page);
});

afterAll(() => site?.end());

/** Registers the worker, and gives the name by which DevTools know it. */
async function registered(script: string): Promise<string> {
  const known = new Promise<string>((resolve) => {
    devtools.on('ServiceWorker.workerVersionUpdated', ({ versions }) => {
      const version = versions.find(({ scriptURL, status }) => scriptURL.endsWith(script) && status === 'activated');
      if (version) resolve(version.registrationId);
    });
  });
  await devtools.send('ServiceWorker.enable');
  await page.evaluate(async (script) => {
    await navigator.serviceWorker.register(script, { type: 'module' });
    await navigator.serviceWorker.ready;
  }, script);
  return known;
}

const shown = () =>
  page.evaluate(async () => {
    const { active, ...registration } = await navigator.serviceWorker.ready.then((it) => ({ active: it.active, it }));
    const all = await registration.it.getNotifications();
    return all.map(({ title, body, tag, data }) => ({ title, body, tag, data }));
  });

describe('the worker', () => {
  it('shows what is pushed, one notification a room, and survives what is none', async () => {
    const registrationId = await registered('/push_worker.js?always');
    const push = (data: string) => devtools.send('ServiceWorker.deliverPushMessage', { origin: site.url, registrationId, data });
    const said = (body: string) => {
      const data = { type: 'message', room: 'r', message: 'm', sender: 's' };
      const notification = { title: 'Ana', body, tag: 'room:r', lang: 'es', dir: 'auto', navigate: `${site.url}/#/chat/r`, data };
      return JSON.stringify({ web_push: 8030, mutable: true, notification });
    };
    await push('not JSON');
    await push('{}');
    await push(said('hola'));
    const [first] = await until(shown, (all) => all.length === 1);
    expect(first).toEqual({ title: 'Ana', body: 'hola', tag: 'room:r', data: { type: 'message', room: 'r', message: 'm', sender: 's', navigate: `${site.url}/#/chat/r` } });
    await push(said('¿estás?'));
    const all = await until(shown, ([one]) => one?.body === '¿estás?');
    expect(all.length).toBe(1);
  }, 60_000);
});

describe('the page', () => {
  const KEY = 'BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8';

  /** A browser's half, as far as it is used. */
  function browser(permission: string) {
    const made: any[] = [];
    let current: any = null;
    const subscription = (key: Uint8Array) => ({
      endpoint: `https://push.example/${made.length}`,
      options: { applicationServerKey: key.buffer },
      toJSON: () => ({ endpoint: `https://push.example/${made.length}`, keys: { p256dh: 'p', auth: 'a' } }),
      unsubscribe: async () => !(current = null),
    });
    const pushManager = {
      getSubscription: async () => current,
      subscribe: async ({ userVisibleOnly, applicationServerKey }: any) => {
        expect(userVisibleOnly).toBe(true);
        made.push(applicationServerKey);
        return (current = subscription(applicationServerKey));
      },
    };
    Object.assign(globalThis, { PushManager: class {}, Notification: { permission, requestPermission: async () => permission } });
    const registration = { pushManager } as unknown as ServiceWorkerRegistration;
    Object.defineProperty(globalThis, 'navigator', { configurable: true, value: { serviceWorker: { getRegistration: async () => registration } } });
    return { made, registration };
  }

  function server(key: string | null) {
    const asked: [string, string, any][] = [];
    const api = async (path: string, init: RequestInit = {}) => {
      const method = init.method ?? 'GET';
      asked.push([method, path, init.body ? JSON.parse(`${init.body}`) : null]);
      if (path.endsWith('/key/')) return key ? Response.json({ public_key: key }) : new Response(null, { status: 404 });
      return new Response(null, { status: method === 'POST' ? 201 : 204 });
    };
    return { asked, api };
  }

  it('subscribes with the key of the server, again when it has another, and takes it back', async () => {
    const { made, registration } = browser('granted');
    const { asked, api } = server(KEY);
    expect(await pushState(registration)).toBe('off');
    await subscribePush({ api }, registration);
    await subscribePush({ api }, registration);
    expect(await pushState(registration)).toBe('on');
    expect([made.length, made[0].length, made[0][0]]).toEqual([1, 65, 4]);
    const stored = { endpoint: 'https://push.example/1', keys: { p256dh: 'p', auth: 'a' } };
    expect(asked.filter(([method]) => method === 'POST')).toEqual([['POST', '/api/push/subscriptions/', stored], ['POST', '/api/push/subscriptions/', stored]]);
    const other = server(`BA${KEY.slice(2)}`);
    await subscribePush({ api: other.api }, registration);
    expect(made.length).toBe(2);
    await unsubscribePush({ api }, registration);
    expect(asked.at(-1)).toEqual(['DELETE', '/api/push/subscriptions/', { endpoint: 'https://push.example/2' }]);
    expect(await pushState(registration)).toBe('off');
  });

  it('says why it does not', async () => {
    const why = async (it: Promise<void>) => it.then(() => 'nothing', ({ code, text }) => [code, text]);
    expect(await why(subscribePush(server(KEY), browser('denied').registration))).toEqual(['push_denied', expect.any(String)]);
    expect(await pushState(browser('denied').registration)).toBe('denied');
    expect(await why(subscribePush(server(null), browser('granted').registration))).toEqual(['push_off', expect.stringContaining('404')]);
    const fails = (name: string) => {
      const { registration } = browser('granted');
      registration.pushManager.subscribe = async () => Promise.reject(new DOMException('Registration failed', name));
      return registration;
    };
    expect(await why(subscribePush(server(KEY), fails('AbortError')))).toEqual(['push_unavailable', 'Registration failed']);
    expect(await why(subscribePush(server(KEY), fails('NotAllowedError')))).toEqual(['push_denied', 'Registration failed']);
    const { api } = server(KEY);
    const refuses = async (path: string, init?: RequestInit) =>
      init?.method === 'POST' ? Response.json({ endpoint: ['Este servidor no usa ese servicio push.'] }, { status: 400 }) : api(path, init);
    expect(await why(subscribePush({ api: refuses }, browser('granted').registration))).toEqual(['push_refused', 'Este servidor no usa ese servicio push.']);
    Object.assign(globalThis, { PushManager: undefined });
    delete (globalThis as any).PushManager;
    expect(await pushState()).toBe('unsupported');
  });

  it('waits for a worker that is not active yet, and not for ever for a push service', async () => {
    const { made, registration } = browser('granted');
    const worker = Object.assign(new EventTarget(), { state: 'installing' });
    Object.assign(registration, { active: null, installing: worker, waiting: null });
    const subscribing = subscribePush(server(KEY), registration);
    await new Promise((resolve) => setTimeout(resolve));
    expect(made.length).toBe(0);
    worker.state = 'activated';
    worker.dispatchEvent(new Event('statechange'));
    await subscribing;
    expect(made.length).toBe(1);
    vi.useFakeTimers();
    try {
      const silent = browser('granted').registration;
      silent.pushManager.subscribe = () => new Promise(() => {});
      const outcome = subscribePush(server(KEY), silent).catch(({ code }) => code);
      await vi.advanceTimersByTimeAsync(30_000);
      expect(await outcome).toBe('push_unavailable');
    } finally {
      vi.useRealTimers();
    }
  });
});
