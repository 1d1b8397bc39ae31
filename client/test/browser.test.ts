// Two tabs and a real server in a real browser: one socket, and what becomes of it when tabs, networks and servers go.

import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { BrowserContext, Page } from 'playwright-core';
import { isLive, say, sees, Site, status, texts } from './support/browser.js';
import { Pregon, Proxy } from './support/pregon.js';
import { until } from './support/until.js';

let site: Site;
let server: Pregon;
let context: BrowserContext;

beforeAll(async () => {
  [site, server] = await Promise.all([Site.start(), Pregon.start({ PREGON_TOKEN_GRACE_SECONDS: '0' }, { users: 4, rooms: 20 })]);
  site.token = (user) => server.users.find(({ id }) => id === user)!.token;
  context = await site.browser.newContext();
});

afterAll(async () => {
  await site?.end();
  await server?.end();
});

afterEach(async () => {
  await context.close();
  context = await site.browser.newContext();
});

/** Sockets that were ever opened. */
const opened = () => server.metric('pregon_sessions_admitted_total');
const sockets = () => server.metric('pregon_sessions_by_kind', '"many"');
let rooms = 0;
/** A room of its own for each test. */
const fresh = () => ({ room: (rooms += 1) });
const leads = async (pages: Page[]) => {
  const names = await Promise.all(pages.map((page) => page.evaluate(async () => (await navigator.locks.query()).held!.map((lock) => [lock.name!, lock.clientId!]))));
  const holder = names[0]!.find(([name]) => /^pregon 2 \S+ \S+$/.test(name!))?.[1];
  return holder;
};

describe('tabs', () => {
  it('of one user have one socket, opened once under StrictMode', async () => {
    const before = await opened();
    const where = fresh();
    const one = await site.tab(context, server, 0, where);
    await isLive(one);
    const two = await site.tab(context, server, 0, where);
    await isLive(two);
    await say(two, 'desde la segunda');
    await sees(one, (shown) => shown.includes('desde la segunda'));
    await say(one, 'desde la primera');
    await sees(two, (shown) => shown.length === 2);
    expect(await texts(one)).toEqual(['desde la segunda', 'desde la primera']);
    expect([(await opened()) - before, await sockets()]).toEqual([1, 1]);
    // REST of all tabs takes the token that the hub has.
    expect(await two.evaluate(() => window.asked)).toEqual([]);
  });

  it('of different users share nothing', async () => {
    const where = fresh();
    const one = await site.tab(context, server, 0, where);
    const two = await site.tab(context, server, 1, where);
    await Promise.all([isLive(one), isLive(two)]);
    await until(async () => (await sockets()) === 2);
    await say(one, 'hola');
    await sees(two, (shown) => shown.length === 1);
  });

  it('go on when the one with the socket closes: nothing is lost, and nobody sees the user leave', async () => {
    const where = fresh();
    const first = await site.tab(context, server, 0, where);
    await isLive(first);
    const second = await site.tab(context, server, 0, where);
    await isLive(second);
    const other = await site.browser.newContext();
    const beto = await site.tab(other, server, 1, where);
    await isLive(beto);
    await until(async () => (await beto.textContent('#presence')) !== '');
    await beto.evaluate(() => {
      const seen = ((window as any).seen = [] as string[]);
      window.chat.onEvent((event: any) => event.type === 'user_status' && seen.push(event.status));
    });
    for (let number = 0; number < 20; number += 1) {
      await Promise.all([say(second, `a${number}`), say(beto, `b${number}`)]);
      if (number === 8) await say(first, 'de la que se va');
      if (number === 8) await first.close();
    }
    const all = (shown: string[]) => shown.length === 41;
    await Promise.all([sees(second, all), sees(beto, all)]);
    expect([...(await texts(second))].sort()).toEqual([...(await texts(beto))].sort());
    expect(new Set(await texts(second)).size).toBe(41);
    // The grace of the server's presence is 5 s: longer than that nobody was away.
    await new Promise((resolve) => setTimeout(resolve, 6_000));
    expect(await beto.evaluate(() => (window as any).seen)).not.toContain('offline');
    await other.close();
  });

  it('take over from a tab that is frozen', async () => {
    const where = fresh();
    const first = await site.tab(context, server, 0, where);
    await isLive(first);
    const second = await site.tab(context, server, 0, where);
    await isLive(second);
    const holder = await leads([second]);
    // As after a crash of its renderer's loop: it holds the lock, and answers nothing.
    await first.evaluate(() => setTimeout(() => { const end = Date.now() + 9_000; while (Date.now() < end); }));
    await new Promise((resolve) => setTimeout(resolve, 200));
    await server.say(1, where.room, 'mientras duerme');
    await sees(second, (shown) => shown.includes('mientras duerme'), 8_500);
    expect(await leads([second])).not.toBe(holder);
    await sees(first, (shown) => shown.includes('mientras duerme'), 20_000);
    await say(first, 'de vuelta');
    await sees(second, (shown) => shown.includes('de vuelta'));
    await until(async () => (await sockets()) === 1);
  });

  it('go on at once when the browser freezes the one with the socket', async () => {
    const where = fresh();
    const first = await site.tab(context, server, 0, where);
    await isLive(first);
    const second = await site.tab(context, server, 0, where);
    await isLive(second);
    const session = await context.newCDPSession(first);
    await session.send('Page.setWebLifecycleState', { state: 'frozen' });
    await server.say(1, where.room, 'mientras está congelada');
    await sees(second, (shown) => shown.includes('mientras está congelada'), 2_000);
    await session.send('Page.setWebLifecycleState', { state: 'active' });
    await sees(first, (shown, at) => at === 'live' && shown.includes('mientras está congelada'));
    await until(async () => (await sockets()) === 1);
  });

  it('may leave the socket to a SharedWorker', async () => {
    const where = { ...fresh(), worker: true };
    const first = await site.tab(context, server, 0, where);
    await isLive(first);
    const second = await site.tab(context, server, 0, where);
    await isLive(second);
    const before = await opened();
    await first.close();
    await say(second, 'sin la primera');
    await sees(second, (shown) => shown.length === 1);
    expect([(await opened()) - before, await sockets()]).toEqual([0, 1]);
    await until(async () => (await second.$('li[data-state=sent]')) !== null);
    await second.close();
    await until(async () => (await sockets()) === 0);
  });

  it('forget what is unsent when the user logs out in one of them', async () => {
    const where = fresh();
    const one = await site.tab(context, server, 0, where);
    await isLive(one);
    const two = await site.tab(context, server, 0, where);
    await isLive(two);
    await context.setOffline(true);
    await say(two, 'sin enviar');
    await sees(one, (shown) => shown.includes('sin enviar'));
    await one.evaluate(() => window.client.logout());
    await Promise.all([one, two].map((page) => sees(page, (shown, at) => shown.length === 0 && at === 'closed')));
    await context.setOffline(false);
    await Promise.all([one.close(), two.close()]);
    const again = await site.tab(context, server, 0, where);
    await isLive(again);
    expect(await texts(again)).toEqual([]);
  });
});

describe('a page', () => {
  it('that was left and came back is live again', async () => {
    const where = fresh();
    const page = await site.tab(context, server, 0, where);
    await isLive(page);
    await page.goto('about:blank');
    await until(async () => (await sockets()) === 0);
    await server.say(1, where.room, 'mientras no estabas');
    await page.goBack();
    // From the cache for pages that were left, or anew.
    if ((await page.$('#status')) === null) await site.begin(page, server, 0, where);
    await sees(page, (shown, at) => shown.includes('mientras no estabas') && at === 'live');
  });

  it('without a network shows what is typed, and sends it when there is one, also after a reload', async () => {
    const where = fresh();
    const network = await Proxy.start(server.address);
    const page = await site.tab(context, server, 0, { ...where, url: network.url });
    await isLive(page);
    network.isDown = true;
    network.cut();
    await say(page, 'uno');
    await say(page, 'dos');
    await sees(page, (shown, at) => shown.length === 2 && at === 'waiting');
    await page.reload();
    await site.begin(page, server, 0, { ...where, url: network.url });
    await sees(page, (shown) => shown.join() === 'uno,dos');
    await server.say(1, where.room, 'entretanto');
    network.isDown = false;
    await sees(page, (shown, at) => shown.length === 3 && at === 'live', 25_000);
    await until(async () => (await page.$$('li[data-state=sent]')).length === 3);
    expect(await server.contents(where.room)).toEqual(['entretanto', 'uno', 'dos']);
    network.end();
  });

  it('sees at once that the network went and came', async () => {
    const where = fresh();
    const page = await site.tab(context, server, 0, where);
    await isLive(page);
    await context.setOffline(true);
    await sees(page, (_, at) => at === 'offline', 1_000);
    await server.say(1, where.room, 'sin red');
    await context.setOffline(false);
    await sees(page, (shown, at) => at === 'live' && shown.includes('sin red'), 2_000);
  });

  it('whose connection went silent finds out when somebody looks', async () => {
    const where = fresh();
    const network = await Proxy.start(server.address);
    const page = await site.tab(context, server, 0, { ...where, url: network.url });
    await isLive(page);
    network.silence();
    await server.say(1, where.room, 'en silencio');
    // As when the machine has slept: much time has passed between two ticks.
    await page.evaluate(() => {
      const { now } = Date;
      Date.now = () => now() + 60_000;
    });
    await sees(page, (shown, at) => at === 'live' && shown.includes('en silencio'), 9_000);
    network.end();
  });

  it('works where storage throws', async () => {
    const where = fresh();
    await context.addInitScript(() =>
      Object.defineProperty(window, 'indexedDB', { get() { throw new DOMException('no', 'SecurityError'); } }),
    );
    const page = await site.tab(context, server, 0, where);
    await isLive(page);
    await say(page, 'igual');
    await until(async () => (await page.$('li[data-state=sent]')) !== null);
  });

  it('renews its token before it ends, and misses nothing when it cannot', async () => {
    const where = fresh();
    const { token } = site;
    site.asked = [];
    // 65 s: within the last minute it is renewed in-band, if somebody looks. 4 s: the server says when it is over.
    site.token = (_, reason) => server.token(0, reason === 'start' ? 4 : 62);
    const before = await opened();
    const page = await site.tab(context, server, 0, where);
    await isLive(page);
    await until(async () => site.asked.includes('expired'));
    await new Promise((resolve) => setTimeout(resolve, 5_000));
    await server.say(1, where.room, 'después');
    await sees(page, (shown) => shown.includes('después'));
    expect(await status(page)).toBe('live');
    expect((await opened()) - before).toBeLessThanOrEqual(2);
    site.token = token;
  });
});
