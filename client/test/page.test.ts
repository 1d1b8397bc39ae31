// The page of the server, as the binary brings it along: nothing on it is out of reach for people who do not see or point.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Browser, chromium, type Page } from 'playwright-core';
import { Pregon } from './support/pregon.js';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const AXE = readFileSync(at('../node_modules/axe-core/axe.min.js'), 'utf8');
const SIZES = { desktop: { width: 1280, height: 800 }, phone: { width: 390, height: 844 } };
const SERIOUS = ['serious', 'critical'];

declare global {
  interface Window {
    axe: { run(): Promise<{ violations: { id: string; impact: string; nodes: { html: string; failureSummary: string }[] }[] }> };
  }
}

let server: Pregon;
let browser: Browser;

beforeAll(async () => {
  // From the sources, which may be newer than the binary.
  server = await Pregon.start({ PREGON_WEB_DIR: at('../../web'), PREGON_PUSH_CONTACT: 'mailto:ops@pregon.org' }, { users: 4, rooms: 2 });
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  const [room] = server.rooms;
  for (const user of [0, 1, 2]) await server.rest(user, 'POST', `/api/messaging/chats/${room!.id}/send_message/`, { content: `hola de ${user}, https://example.com` });
  await server.rest(1, 'POST', `/api/messaging/chats/${server.rooms[1]!.id}/send_message/`, { content: 'sin leer' });
  await server.rest(0, 'PATCH', `/api/messaging/chats/${server.rooms[1]!.id}/settings/`, { is_muted: true });
  const { id } = await server.rest(0, 'POST', '/api/posts/', { content: 'Un gol de media cancha' });
  await server.rest(0, 'POST', '/api/posts/', { content: 'Solo para mí', is_public: false });
  const { id: comment } = await server.rest(1, 'POST', `/api/posts/${id}/comments/`, { content: '¡vaya!' });
  await server.rest(2, 'POST', `/api/posts/${id}/comments/`, { content: 'sí', parent: comment });
  await server.rest(1, 'POST', `/api/users/follow/${server.users[0]!.username}/`);
});

afterAll(async () => {
  await browser?.close();
  await server?.end();
});

async function open(size: keyof typeof SIZES, colorScheme: 'light' | 'dark', user: number | null): Promise<Page> {
  const context = await browser.newContext({ viewport: SIZES[size], colorScheme, locale: 'en-US', reducedMotion: 'reduce' });
  const page = await context.newPage();
  if (user !== null) {
    const session = { user: await server.rest(user, 'GET', '/api/auth/profile/'), access: server.users[user]!.token, refresh: '' };
    await page.addInitScript((session) => sessionStorage.setItem('pregon.session', JSON.stringify(session)), session);
  }
  await page.goto(server.url);
  return page;
}

/** What axe says of the page as it is now. */
async function findings(page: Page): Promise<string[]> {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run());
  return violations
    .filter(({ impact }) => SERIOUS.includes(impact))
    .flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => `${id}: ${html.slice(0, 160)} ${failureSummary}`));
}

const CASES = (Object.keys(SIZES) as (keyof typeof SIZES)[]).flatMap((size) => (['light', 'dark'] as const).map((scheme) => [size, scheme] as const));

describe.each(CASES)('the page on a %s, %s', (size, scheme) => {
  it('has no serious findings', async () => {
    const found: Record<string, string[]> = {};
    const page = await open(size, scheme, 0);
    const look = async (name: string, hash: string, shown: string) => {
      await page.evaluate((hash) => void (location.hash = hash), hash);
      await page.waitForSelector(shown);
      found[name] = await findings(page);
    };
    const press = async (name: string, button: string, shown: string) => {
      await page.click(button);
      await page.waitForSelector(shown);
      found[name] = await findings(page);
    };
    const { username } = server.users[0]!;
    await look('chats', '#/', '[data-testid=room]');
    await look('a chat', `#/chat/${server.rooms[0]!.id}`, '[data-testid=connection][data-state=live]');
    await press('the search', '#search-room', '#room-search');
    await press('emoji', '#chat [data-testid=emoji]', '#emoji-picker');
    await page.keyboard.press('Escape');
    await press('about the chat', '#about-room', '#room-dialog [data-testid=member]');
    await page.keyboard.press('Escape');
    await look('the feed', '#/feed', '[data-testid=post]');
    await press('the bell', '#bell', '[data-testid=notification]');
    await page.keyboard.press('Escape');
    const post = await page.getAttribute('[data-testid=post]', 'data-post-id');
    await look('a post', `#/post/${post}`, '[data-testid=comment]');
    await look('a profile', `#/person/${username}`, '[data-testid=visibility][data-public=false]');
    await press('the own profile', '#edit-profile', '#save-profile');
    await page.keyboard.press('Escape');
    await look('somebody', `#/person/${server.users[1]!.username}`, '[data-testid=block]');
    await look('settings', '#/settings', '#language');
    await page.context().close();
    const entrance = await open(size, scheme, null);
    await entrance.waitForSelector('#register-form');
    found.entrance = await findings(entrance);
    await entrance.context().close();
    expect(Object.entries(found).filter(([, list]) => list.length > 0)).toEqual([]);
    // All views are looked through, on a machine that may do other things, too.
  }, 120_000);
});
