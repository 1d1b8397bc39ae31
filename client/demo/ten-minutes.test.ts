// "Ten minutes" of README.md: its commands and its page as they stand, and two people who chat.

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Page } from 'playwright-core';
import { client, Demo } from './support.js';

let demo: Demo;

beforeAll(async () => {
  demo = await Demo.start();
});

afterAll(() => demo?.end());

/** The blocks of code under the heading, without the list's indentation. */
function blocks(): [language: string, code: string][] {
  const readme = readFileSync(join(client, 'README.md'), 'utf8');
  const section = readme.split('## Ten minutes')[1]!.split('\n## ')[0]!;
  return [...section.matchAll(/^ {3}```(\w+)\n([^]*?)^ {3}```$/gm)].map(([, language, code]) => [language!, code!.replace(/^ {3}/gm, '')]);
}

async function login(url: string, name: string, to: string): Promise<Page> {
  const page = await demo.page();
  await page.goto(url);
  await page.fill('[name=name]', name);
  await page.fill('[name=password]', 'kick-off at 7');
  await page.fill('[name=to]', to);
  await page.click('text=Log in');
  await page.waitForSelector('[data-state=live]', { timeout: 60_000 });
  return page;
}

it('lead to a live chat', async () => {
  const [people, install, page, dev] = blocks();
  expect([people![0], install![0], page![0], dev![0]]).toEqual(['sh', 'sh', 'tsx', 'sh']);
  const { url } = demo.server;
  demo.run(people![1].replaceAll('http://127.0.0.1:8000', url));
  demo.run(install![1], demo.folder, { PREGON_CLIENT: demo.copy() });
  const app = join(demo.folder, 'chat');
  writeFileSync(join(app, 'app/page.tsx'), page![1]);
  const port = String(20_001 + (process.pid % 20_000));
  const settings = { PORT: port, NEXT_PUBLIC_PREGON: url };
  await demo.serve(dev![1].trim(), app, /Ready/, settings);
  const [ana, beto] = [await login(`http://localhost:${port}`, 'ana', 'beto'), await login(`http://localhost:${port}`, 'beto', 'ana')];
  await ana.fill('[name=text]', 'Kick-off?');
  await ana.click('text=Send');
  await beto.waitForSelector('li:has-text("ana: Kick-off?")');
  await beto.locator('[name=text]').pressSequentially('At seven');
  await ana.waitForSelector('text=beto is typing');
  await beto.click('text=Send');
  await ana.waitForSelector('li:has-text("beto: At seven")');
  const seconds = (Date.now() - demo.began) / 1000;
  console.log(`${seconds.toFixed(0)} s from nothing to a live chat`);
  expect(seconds).toBeLessThan(600);
  // The page does what a build does with it, too: types are checked.
  demo.run('npx tsc --noEmit', app);
});
