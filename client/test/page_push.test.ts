// The page's own worker, /sw.js as the server brings it along, with what DevTools deliver in place of a push service.

import { afterAll, beforeAll, expect, it } from 'vitest';
import { fileURLToPath } from 'node:url';
import { type Browser, type BrowserContext, type CDPSession, chromium, type Page, type Worker } from 'playwright-core';
import { Pregon } from './support/pregon.js';
import { until } from './support/until.js';

let server: Pregon;
let browser: Browser;
let context: BrowserContext;
let page: Page;
let devtools: CDPSession;
let worker: Worker;
let registrationId: string;

beforeAll(async () => {
  server = await Pregon.start({ PREGON_WEB_DIR: fileURLToPath(new URL('../../web', import.meta.url)) }, { users: 2, rooms: 2 });
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  context = await browser.newContext({ locale: 'en-US' });
  await context.grantPermissions(['notifications'], { origin: server.url });
  page = await context.newPage();
  const session = { user: await server.rest(0, 'GET', '/api/auth/profile/'), access: server.users[0]!.token, refresh: '' };
  await page.addInitScript((session) => sessionStorage.setItem('pregon.session', JSON.stringify(session)), session);
  await page.goto(server.url);
  await page.waitForSelector('#me');
  devtools = await context.newCDPSession(page);
  const known = new Promise<string>((resolve) =>
    devtools.on('ServiceWorker.workerVersionUpdated', ({ versions }) => {
      const version = versions.find(({ scriptURL, status }) => scriptURL.endsWith('/sw.js') && status === 'activated');
      if (version) resolve(version.registrationId);
    }),
  );
  await devtools.send('ServiceWorker.enable');
  const started = context.waitForEvent('serviceworker');
  await page.evaluate(() => navigator.serviceWorker.register('/sw.js'));
  [worker, registrationId] = await Promise.all([started, known]);
}, 60_000);

afterAll(async () => {
  await browser?.close();
  await server?.end();
});

/** As the server pushes it (src/fanout/push/note.rs). */
function push(room: string, body: string): Promise<unknown> {
  const data = { type: 'message', room, message: 'm', sender: 's' };
  const notification = { title: 'Beto', body, tag: `room:${room}`, lang: 'es', dir: 'auto', navigate: `${server.url}/#/chat/${room}`, data };
  return devtools.send('ServiceWorker.deliverPushMessage', { origin: server.url, registrationId, data: JSON.stringify({ web_push: 8030, notification }) });
}

const shown = () =>
  worker.evaluate(async () => {
    const all = await (globalThis as any).registration.getNotifications();
    return all.map(({ title, body, icon }: Notification) => ({ title, body, icon }));
  });

it('tells nothing while the page is in front, shows a push otherwise, and a click on it opens the room', async () => {
  const [room, other] = server.rooms.map(({ id }) => id);
  await push(other!, 'delante');
  // The browser keeps the order of pushes.
  await page.goto('about:blank');
  // It may count a page that has gone a moment longer.
  const pages = () => worker.evaluate(async () => (await (globalThis as any).clients.matchAll({ type: 'window', includeUncontrolled: true })).length);
  await until(pages, (count) => count === 0);
  // DevTools may lose one while the page changes its process. One of the same room takes the place of the former.
  const pushed = async () => {
    await push(room!, '¿estás?');
    return shown();
  };
  const all = await until(pushed, (all) => all.length > 0);
  expect(all).toEqual([{ title: 'Beto', body: '¿estás?', icon: `${server.url}/page/logo.svg` }]);
  await page.goto(server.url);
  await page.waitForSelector('#me');
  // DevTools cannot click on a notification. A real click may bring the page to the front, and this one may not.
  await worker.evaluate(async () => {
    const scope = globalThis as any;
    const [notification] = await scope.registration.getNotifications();
    const event = new scope.NotificationEvent('notificationclick', { notification });
    const done = new Promise((resolve, reject) => (event.waitUntil = (it: Promise<unknown>) => it.then(resolve, reject)));
    scope.dispatchEvent(event);
    await done;
  });
  await page.waitForSelector(`#chat[data-room-id='${room}'] [data-testid=connection][data-state=live]`);
  await until(shown, (all) => all.length === 0);
}, 60_000);
