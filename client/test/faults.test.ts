// The table of faults: three tabs of two users write all the time while something breaks, and every message is counted.
//
// `FAULTS=long` takes minutes where an absence should be long; `UPDATE_DOCS=1` writes the table into README.md.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { BrowserContext, Page } from 'playwright-core';
import { isLive, say, sees, Site, status, texts } from './support/browser.js';
import { PREGON, Pregon, Proxy } from './support/pregon.js';

const isLong = process.env.FAULTS === 'long';
const EVERY_MS = isLong ? 500 : 100;
/** They write for so long before something breaks, and after. */
const SOME_MS = isLong ? 2_000 : 600;
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

let site: Site;
/** The first user's tabs are in a browser of their own, which can be stopped. */
let mine: Site;
const rows: string[] = [];

beforeAll(async () => {
  site = await Site.start('production');
  mine = await Site.start('production');
});

afterAll(async () => {
  await Promise.all([site?.end(), mine?.end()]);
  if (!rows.length) return;
  const table = ['| what happens | messages sent | shown once | lost | doubled | live again after |', '| --- | --- | --- | --- | --- | --- |', ...rows];
  console.log(table.join('\n'));
  if (!process.env.UPDATE_DOCS) return;
  const readme = fileURLToPath(new URL('../README.md', import.meta.url));
  const text = readFileSync(readme, 'utf8').replace(/(<!-- faults -->\n)[^]*(<!-- \/faults -->)/, `$1\n${table.join('\n')}\n\n$2`);
  writeFileSync(readme, text);
});

interface Scene {
  server: Pregon;
  /** Before the first user's tabs. */
  network: Proxy;
  context: BrowserContext;
  first: Page;
  second: Page;
  beto: Page;
}

interface Fault {
  name: string;
  /** Breaks something and mends it; the time since then is that of the last column. */
  happen(scene: Scene): Promise<void>;
  settings?: Record<string, string>;
  server?: () => Promise<Pregon>;
  network?: (server: Pregon) => Promise<Proxy>;
  options?: object;
  end?: () => Promise<unknown>;
}

/** Everything that a page can show. */
async function whole(page: Page): Promise<string[]> {
  await page.evaluate(async () => {
    while (window.chat.get().hasOlder) await window.chat.loadOlder();
  });
  await pause(50);
  return texts(page);
}

async function play({ name, happen, settings = {}, server: start, network: link, end }: Fault): Promise<void> {
  const server = start ? await start() : await Pregon.start(settings);
  const network = await (link ?? ((server) => Proxy.start(server.address)))(server);
  const tokens = (user: string) => server.users.find(({ id }) => id === user)!.token;
  site.token = mine.token = tokens;
  if (settings.PREGON_TOKEN_GRACE_SECONDS) {
    mine.token = (_, reason) => server.token(0, reason === 'start' ? 3 : 600);
  }
  const context = await mine.browser.newContext();
  const other = await site.browser.newContext();
  const first = await mine.tab(context, server, 0, { url: network.url });
  await isLive(first);
  const second = await mine.tab(context, server, 0, { url: network.url });
  const beto = await site.tab(other, server, 1, { url: link ? network.url : server.url });
  await Promise.all([isLive(second), isLive(beto)]);

  const sent: string[] = [];
  let isOver = false;
  const write = async (page: Page, who: string) => {
    for (let number = 0; !isOver && !page.isClosed(); number += 1) {
      const text = `${who}${number}`;
      // A tab that is closed in this moment may have taken it or not.
      if (await say(page, text).then(() => true, () => false)) sent.push(text);
      await pause(EVERY_MS);
    }
  };
  const writing = [write(first, 'a'), write(second, 'A'), write(beto, 'b')];
  await pause(SOME_MS);
  await happen({ server, network, context, first, second, beto });
  const mended = Date.now();
  const pages = [first, second, beto].filter((page) => !page.isClosed());
  // Somebody else says something: all pages show it once they are live again.
  await server.say(2, 0, 'x0');
  await Promise.all(pages.map((page) => sees(page, (shown, at) => at === 'live' && shown.includes('x0'), 60_000)));
  const back = Date.now() - mended;
  sent.push('x0');
  await pause(SOME_MS);
  isOver = true;
  await Promise.all(writing);

  const settled = Date.now() + (isLong ? 300_000 : 40_000);
  for (;;) {
    const states = await Promise.all(pages.map((page) => page.evaluate(() => window.chat.get().messages.every((message: any) => message.state === 'sent'))));
    const newest = await Promise.all(pages.map(async (page) => new Set(await whole(page))));
    if (states.every(Boolean) && newest.every((shown) => sent.every((text) => shown.has(text)))) break;
    if (Date.now() > settled) break;
    await pause(100);
  }
  const stored = await server.contents(0, 1);
  const shown = await Promise.all(pages.map(whole));
  const times = (list: string[], text: string) => list.filter((one) => one === text).length;
  const lost = sent.filter((text) => !stored.includes(text) || shown.some((list) => !list.includes(text)));
  const doubled = [...new Set(stored)].filter((text) => [stored, ...shown].some((list) => times(list, text) > 1));
  const once = sent.filter((text) => shown.every((list) => times(list, text) === 1));
  rows.push(`| ${name} | ${sent.length} | ${once.length === sent.length ? 'all' : once.length} | ${lost.length} | ${doubled.length} | ${(back / 1000).toFixed(1)} s |`);
  const states = await Promise.all(pages.map(status));
  await Promise.all([context.close(), other.close()]);
  network.end();
  await (end ?? (() => server.end()))();
  expect({ lost, doubled, states: new Set(states) }).toEqual({ lost: [], doubled: [], states: new Set(['live']) });
  expect(sent.length).toBeGreaterThan(10);
  // Each writer's own order is kept.
  for (const who of ['a', 'A', 'b']) {
    const numbers = stored.filter((text) => text.startsWith(who)).map((text) => Number(text.slice(1)));
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
  }
}

/** A process and all that it has started. */
function family(root: number): number[] {
  const lines = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' }).trim().split('\n');
  const all = lines.map((line) => line.trim().split(/\s+/).map(Number) as [number, number]);
  const below = (pid: number): number[] => [pid, ...all.filter(([, parent]) => parent === pid).flatMap(([child]) => below(child))];
  return below(root);
}

let cluster: ChildProcess | undefined;

const FAULTS: Fault[] = [
  {
    name: 'the tab with the socket is closed',
    happen: ({ first }) => first.close(),
  },
  {
    name: isLong ? 'offline for 5 minutes' : 'offline',
    async happen({ context }) {
      await context.setOffline(true);
      await pause(isLong ? 300_000 : 1_500);
      await context.setOffline(false);
    },
  },
  {
    name: isLong ? 'the network is silent for 70 s, unseen by the browser' : 'the network goes away, unseen by the browser',
    async happen({ network }) {
      network.isDown = true;
      network.silence();
      await pause(isLong ? 70_000 : 2_000);
      network.cut();
      network.isDown = false;
    },
  },
  {
    name: isLong ? 'the machine sleeps for 2 minutes' : 'the machine sleeps',
    async happen({ network, server }) {
      const stopped = family(mine.process);
      for (const pid of stopped) process.kill(pid, 'SIGSTOP');
      // A sleeping machine answers no pings, so that the server ends the connection after 50 s. Here the proxy does it sooner.
      await pause(isLong ? 120_000 : 2_000);
      if (!isLong) network.cut();
      await server.say(3, 0, 'x1');
      for (const pid of stopped) process.kill(pid, 'SIGCONT');
    },
  },
  {
    name: 'the server restarts',
    async happen({ server }) {
      await server.stop('SIGTERM');
      await server.serve();
    },
  },
  {
    name: 'the server is killed and comes back',
    async happen({ server }) {
      await server.stop('SIGKILL');
      await pause(isLong ? 10_000 : 500);
      await server.serve();
    },
  },
  {
    name: 'one of two nodes is killed',
    async server() {
      const script = fileURLToPath(new URL('support/cluster.sh', import.meta.url));
      cluster = spawn(script, { env: { ...process.env, PREGON }, stdio: ['pipe', 'pipe', 'inherit'] });
      const line: string = await new Promise((resolve) => createInterface(cluster!.stdout!).once('line', resolve));
      const [fixture, one, two] = line.split(' ') as [string, string, string];
      return Object.assign(Pregon.of(`127.0.0.1:${two}`, fixture), { first: `127.0.0.1:${one}` });
    },
    network: (server) => Proxy.start((server as Pregon & { first: string }).first, server.address),
    async happen() {
      cluster!.stdin!.write('kill\n');
      await pause(100);
    },
    async end() {
      const ended = new Promise<unknown>((resolve) => cluster!.once('exit', resolve));
      cluster!.stdin!.end();
      await ended;
    },
  },
  {
    name: 'the token is over',
    settings: { PREGON_TOKEN_GRACE_SECONDS: '0' },
    async happen() {
      await pause(3_000);
    },
  },
  {
    name: 'the tab with the socket is reloaded while it writes',
    async happen({ first, server, network }) {
      await first.reload();
      await mine.begin(first, server, 0, { url: network.url });
    },
  },
];

describe('nothing is lost and nothing doubled when', () => {
  for (const fault of FAULTS) it(fault.name, () => play(fault), isLong ? 900_000 : 90_000);
});
