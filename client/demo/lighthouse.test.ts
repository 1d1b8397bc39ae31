// What Lighthouse says of the page, as the binary serves it: signed out, and signed in with a chat and a feed. `make lighthouse`.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { chromium } from 'playwright-core';
import { Pregon } from '../test/support/pregon.js';

/** The last one that runs on Node 20. */
const LIGHTHOUSE = 'lighthouse@12.8.2';
const CHROMIUM = process.env.CHROMIUM ?? '/usr/bin/chromium';
const DOCUMENT = fileURLToPath(new URL('../../docs/page.md', import.meta.url));
/** In hundredths. Performance depends on the machine, so it is told and not checked. */
const LEAST: Record<string, number> = { accessibility: 100, 'best-practices': 100, seo: 100 };

let server: Pregon;
const profile = mkdtempSync(join(tmpdir(), 'pregon-lighthouse-'));

beforeAll(async () => {
  server = await Pregon.start({}, { users: 3, rooms: 2 });
  for (const user of [0, 1, 2]) await server.say(user, 0, `hello from ${user}`);
  for (const user of [1, 2]) await server.rest(0, 'POST', `/api/users/follow/${server.users[user]!.username}/`);
  for (const content of ['Two tickets left for Saturday.', 'Training on Wednesday at seven.']) await server.rest(1, 'POST', '/api/posts/', { content });
  // The browser is signed in before Lighthouse starts it.
  const context = await chromium.launchPersistentContext(profile, { executablePath: CHROMIUM, args: ['--no-sandbox'] });
  const page = await context.newPage();
  await page.goto(server.url);
  const session = { user: await server.rest(0, 'GET', '/api/auth/profile/'), access: server.users[0]!.token, refresh: '' };
  await page.evaluate((session) => localStorage.setItem('pregon.session', JSON.stringify(session)), session);
  await page.reload();
  await page.waitForSelector('#me');
  await context.close();
});

afterAll(async () => {
  await server?.end();
  rmSync(profile, { recursive: true, force: true });
});

/** The scores of a page, and what is not as it should be. */
function look(hash: string, isSignedIn: boolean, preset: string[]) {
  const out = join(profile, 'report.json');
  const flags = `--headless=new --no-sandbox${isSignedIn ? ` --user-data-dir=${profile}` : ''}`;
  const more = [...preset, ...(isSignedIn ? ['--disable-storage-reset'] : [])];
  const options = [`--chrome-flags=${flags}`, '--output=json', `--output-path=${out}`, '--quiet', ...more];
  execFileSync('npx', ['--yes', LIGHTHOUSE, `${server.url}/${hash}`, ...options], { env: { ...process.env, CHROME_PATH: CHROMIUM }, stdio: 'inherit' });
  const report = JSON.parse(readFileSync(out, 'utf8'));
  const found = Object.values<any>(report.audits).filter(({ score }) => score !== null && score < 0.9);
  console.log(`${hash || '/'}: ${found.map(({ id, displayValue }) => `${id} ${displayValue ?? ''}`.trim()).join('; ')}`);
  return Object.fromEntries(Object.entries<any>(report.categories).map(([name, { score }]) => [name, Math.round(score * 100)]));
}

it('scores as docs/page.md says', () => {
  const room = server.rooms[0]!.id;
  const pages = [['the entrance', '', false], ['a chat', `#/chat/${room}`, true], ['the feed', '#/feed', true]] as const;
  const rows: string[] = [];
  const low: string[] = [];
  for (const [device, preset] of [['phone, slow network', []], ['desktop', ['--preset=desktop']]] as const) {
    for (const [name, hash, isSignedIn] of pages) {
      const scores = look(hash, isSignedIn, [...preset]);
      const cells = ['performance', 'accessibility', 'best-practices', 'seo'].map((category) => scores[category]);
      rows.push(`| ${name} | ${device} | ${cells.join(' | ')} |`);
      low.push(...Object.entries(LEAST).filter(([category, least]) => scores[category]! < least).map(([category]) => `${name}, ${device}: ${category} ${scores[category]}`));
    }
  }
  console.log(rows.join('\n'));
  if (process.env.UPDATE_DOCS) {
    const head = '\n| page | as | performance | accessibility | best practices | SEO |\n| --- | --- | ---: | ---: | ---: | ---: |\n';
    const table = `<!-- lighthouse -->${head}${rows.join('\n')}\n<!-- end -->`;
    writeFileSync(DOCUMENT, readFileSync(DOCUMENT, 'utf8').replace(/<!-- lighthouse -->[^]*<!-- end -->/, () => table));
  }
  expect(low).toEqual([]);
});
