// examples/nextjs, built and served as it is: rendered by the server, live from the place of what was rendered.

import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Page } from 'playwright-core';
import { client, Demo, PASSWORD } from './support.js';

const example = fileURLToPath(new URL('../../examples/nextjs/', import.meta.url));
/** Pictures of the example are made anew with UPDATE_DOCS=1. */
const pictures = () => (process.env.UPDATE_DOCS ? fileURLToPath(new URL('../../docs/images/', import.meta.url)) : demo.folder);
let demo: Demo;
let app: string;
let url: string;

beforeAll(async () => {
  demo = await Demo.start();
  app = join(demo.folder, 'app');
  cpSync(example, app, { recursive: true, filter: (path) => !/node_modules|\.next|\.tgz$/.test(path) });
  demo.run(`npm run --silent build && npm pack --silent --pack-destination ${app}`, client);
  demo.run('mv pregon-*.tgz pregon.tgz && npm install --no-audit --no-fund', app);
  const to = { PREGON_URL: demo.server.url };
  demo.run('npx next build', app, to);
  const port = 20_000 + (process.pid % 20_000);
  url = `http://localhost:${port}`;
  await demo.serve(`npx next start --port ${port}`, app, /Ready/, { ...to, NODE_ENV: 'production' });
});

afterAll(() => demo?.end());

async function login(username: string): Promise<Page> {
  const page = await demo.page();
  await page.goto(`${url}/login`);
  await page.fill('[name=login]', username);
  await page.fill('[name=password]', PASSWORD);
  await page.click('text=Log in');
  await page.waitForSelector('[data-pregon=connection][data-state=live]');
  return page;
}

const say = async (page: Page, text: string) => {
  await page.fill('[name=content]', text);
  await page.click('button:has-text("Send")');
};

it('shows messages and the feed, rendered and live', async () => {
  const [ana, beto] = [await demo.register('ana', 'Ana Pérez'), await demo.register('beto', 'Beto Ruiz')];
  const { server } = demo;
  await server.rest(beto, 'POST', '/api/users/follow/ana/');
  await server.rest(ana, 'POST', '/api/posts/', { content: 'Kick-off at seven.' });
  const { chat } = await server.rest(ana, 'POST', '/api/users/chat/beto/');
  const history = (user: number, content: string) => server.rest(user, 'POST', `/api/messaging/chats/${chat.id}/send_message/`, { content });
  await history(beto, 'Are you coming tonight?');
  await history(ana, 'Of course!');

  const [one, two] = [await login('ana'), await login('beto')];
  // The first page is in the server's markup: no script is needed to read it.
  const cookies = (await one.context().cookies()).map(({ name, value }) => `${name}=${value}`).join('; ');
  const markup = await (await fetch(`${url}/chat/${chat.id}`, { headers: { cookie: cookies } })).text();
  expect(markup).toContain('Are you coming tonight?');
  // Neither page nor script can read a token.
  expect(markup).not.toMatch(/eyJ[\w-]+\./);
  expect(await one.evaluate(() => document.cookie)).toBe('');

  await two.waitForSelector('text=Kick-off at seven.');
  await one.fill('[name=content]', 'One more place in the car.');
  await one.click('text=Publish');
  for (const page of [one, two]) await page.waitForSelector('article:has-text("One more place in the car.")');
  await two.click('article:has-text("One more place") button');
  for (const page of [one, two]) await page.waitForSelector('article:has-text("One more place") button:has-text("♥ 1")');
  await two.waitForSelector('article:has-text("One more place") button[aria-pressed=true]');
  // The author's toast.
  await one.waitForSelector('[data-pregon=toasts] >> text=Beto Ruiz');
  await one.screenshot({ path: join(pictures(), 'next-feed.png') });

  for (const page of [one, two]) {
    await page.click('text=Messages');
    await page.click(page === one ? 'main >> text=Beto Ruiz' : 'main >> text=Ana Pérez');
    await page.waitForSelector('text=Of course!');
  }
  await one.waitForSelector('text=here: beto');
  await say(one, 'I bring the ball.');
  await two.waitForSelector('li:has-text("I bring the ball.")');
  await two.locator('[name=content]').pressSequentially('Great');
  await one.waitForSelector('text=beto …');
  await one.waitForSelector('li:has-text("I bring the ball.") >> text=✓✓');
  await one.context().setOffline(true);
  await say(one, 'Typed in a tunnel.');
  await one.waitForSelector('li[data-state=sending]');
  await one.screenshot({ path: join(pictures(), 'next-chat.png') });
  await one.context().setOffline(false);
  await two.waitForSelector('li:has-text("Typed in a tunnel.")');
  await one.waitForSelector('li[data-state=sent]:has-text("Typed in a tunnel.")');
  expect(await two.locator('li:has-text("Typed in a tunnel.")').count()).toBe(1);
});
