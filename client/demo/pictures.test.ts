// The pictures of README.md and docs/images: the page with people who talk, on a desktop and a phone, in light and dark. `make screenshots`.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Browser, chromium, type Page } from 'playwright-core';
import { Pregon } from '../test/support/pregon.js';
import { register } from './support.js';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const images = at('../../docs/images/');
/** All pictures of the folder together. */
const BYTES_MAX = 700_000;
const SIZES = { desktop: { width: 960, height: 640 }, phone: { width: 340, height: 640 } };
type Size = keyof typeof SIZES;
type Scheme = 'light' | 'dark';

let server: Pregon;
let browser: Browser;
let room: string;

beforeAll(async () => {
  mkdirSync(images, { recursive: true });
  server = await Pregon.start({ PREGON_WEB_DIR: at('../../web') }, { users: 1, rooms: 0 });
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
  const [ana, beto, luz] = [await register(server, 'ana', 'Ana Pérez'), await register(server, 'beto', 'Beto Díaz'), await register(server, 'luz', 'Luz Marina')];
  await server.rest(ana, 'PATCH', '/api/auth/profile/', { bio: 'Goalkeeper on Sundays, librarian on other days.', position: 'Goalkeeper', favorite_team: 'Atlético del Barrio' });
  for (const other of ['beto', 'luz']) await server.rest(ana, 'POST', `/api/users/follow/${other}/`);
  for (const [user, name] of [[beto, 'ana'], [luz, 'ana'], [luz, 'beto']] as const) await server.rest(user, 'POST', `/api/users/follow/${name}/`);

  await server.rest(0, 'PATCH', '/api/auth/profile/', { display_name: 'Nico Vega' });

  const own = await server.rest(ana, 'POST', '/api/posts/', { content: 'Training on Wednesday at seven. Bring water, and whoever has one: a ball with air in it.' });
  await server.rest(ana, 'POST', '/api/posts/', { content: 'Nine years on this pitch today.' });
  const tickets = await server.rest(luz, 'POST', '/api/posts/', { content: 'Two tickets left for Saturday, section B. Who is coming with me?' });
  const beach = await publish(beto, 'Sunday match on the beach. We lost 5–4, but look at that sky!', await picture());
  for (const [post, user, reaction] of [[beach, ana, 'laugh'], [beach, luz, 'like'], [tickets, ana, 'like'], [own, beto, 'like'], [own, luz, 'like']] as const)
    await server.rest(user, 'POST', `/api/posts/${post.id}/react/`, { reaction_type: reaction });
  await server.rest(luz, 'POST', `/api/posts/${beach.id}/comments/`, { content: 'The sky won that one.' });

  room = (await server.rest(ana, 'POST', '/api/users/chat/beto/')).chat.id;
  const say = (user: number, content: string, more = {}) => server.rest(user, 'POST', `/api/messaging/chats/${room}/send_message/`, { content, ...more });
  await say(beto, 'Did you see the photo?');
  const score = await say(ana, 'The sky! Yes. And what about the score?');
  await say(beto, 'We do not talk about the score', { reply_to: score.id });
  await say(ana, 'Next Sunday I play in goal');
  await say(beto, 'Deal. Nine o’clock, bring water 💧');
  await say(ana, 'And the photo goes on my wall');
  for (const user of [ana, beto]) await server.rest(user, 'POST', `/api/messaging/chats/${room}/mark_as_read/`, {});
  const group = await server.rest(luz, 'POST', '/api/messaging/chats/', { chat_type: 'group', name: 'Sunday league', participant_ids: [server.users[ana]!.id, server.users[beto]!.id] });
  await server.rest(luz, 'POST', `/api/messaging/chats/${group.id}/send_message/`, { content: 'Who has the bibs?' });
});

afterAll(async () => {
  await browser?.close();
  await server?.end();
});

/** A beach in the evening. */
async function picture(): Promise<Buffer> {
  const page = await browser.newPage({ viewport: { width: 960, height: 480 } });
  await page.setContent(`<body style="margin:0"><svg viewBox="0 0 960 480" width="960" height="480" xmlns="http://www.w3.org/2000/svg">
    <defs><linearGradient id="s" x2="0" y2="1"><stop stop-color="#6b4a6b"/><stop offset=".6" stop-color="#c2607c"/><stop offset="1" stop-color="#f0a070"/></linearGradient>
    <linearGradient id="w" x2="0" y2="1"><stop stop-color="#e08a63"/><stop offset="1" stop-color="#2b5573"/></linearGradient></defs>
    <rect width="960" height="220" fill="url(#s)"/><path d="M0 220l90-60 100 40 110-75 120 60 130 35z" fill="#4d3a5e"/><circle cx="610" cy="205" r="58" fill="#fdeebb"/>
    <rect y="220" width="960" height="180" fill="url(#w)"/><g stroke="#f4ac86" stroke-width="6" stroke-linecap="round"><path d="M520 238h190M550 258h120M580 278h60"/></g>
    <path d="M0 330q240-35 480 0t480-10v160H0z" fill="#d3a05f"/><path d="M0 370q240-20 480 10t480-20v120H0z" fill="#c28a4f"/>
    <path d="M320 330v-85h150v85" fill="none" stroke="#fdf6ea" stroke-width="6"/><circle cx="300" cy="395" r="12" fill="#fff" stroke="#222"/>
    <g fill="#1f1a2e"><circle cx="230" cy="300" r="12"/><path d="M218 315h24l6 40-4 40h-9l-4-32-10 32h-9l2-44z"/><circle cx="560" cy="290" r="11"/><path d="M548 304h23l8 36 18 34-9 5-20-28-12 28h-9l5-40z"/></g></svg>`);
  const png = await page.screenshot();
  await page.close();
  return png;
}

async function publish(user: number, content: string, image: Buffer): Promise<any> {
  const form = new FormData();
  form.set('content', content);
  form.set('image', new Blob([new Uint8Array(image)], { type: 'image/png' }), 'beach.png');
  const answer = await fetch(`${server.url}/api/posts/`, { method: 'POST', headers: { authorization: `Bearer ${server.users[user]!.token}` }, body: form });
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

/** What Ana sees. */
async function shot(size: Size, scheme: Scheme, hash: string, shown: string): Promise<string> {
  const context = await browser.newContext({ viewport: SIZES[size], colorScheme: scheme, locale: 'en-US', timezoneId: 'UTC', reducedMotion: 'reduce' });
  const page = await context.newPage();
  page.on('pageerror', (error) => expect.fail(`${error}`));
  const ana = server.users.findIndex(({ username }) => username === 'ana');
  const session = { user: await server.rest(ana, 'GET', '/api/auth/profile/'), access: server.users[ana]!.token, refresh: '' };
  await page.addInitScript((session) => sessionStorage.setItem('pregon.session', JSON.stringify(session)), session);
  await page.goto(`${server.url}/${hash}`);
  await page.waitForSelector(shown);
  await page.waitForLoadState('networkidle');
  await page.evaluate(() => Promise.all([...document.images].map((image) => image.decode().catch(() => {}))));
  const png = await page.screenshot();
  await context.close();
  if (process.env.SINGLE) writeFileSync(join(process.env.SINGLE, `${hash.replace(/\W+/g, '-').slice(0, 12)}-${size}-${scheme}.png`), png);
  return `data:image/png;base64,${png.toString('base64')}`;
}

/** Windows on a table, as WebP. Returns its bytes. */
async function montage(name: string, rows: string[][]): Promise<number> {
  const row = (windows: string[]) => `<div>${windows.map((one) => `<img src="${one}">`).join('')}</div>`;
  const page: Page = await browser.newPage({ viewport: { width: 1388, height: 28 + rows.length * 668 } });
  await page.setContent(`<style>body { margin: 0; background: #cfdedc } div { display: flex; gap: 28px; padding: 28px 0 0 28px }
    img { border-radius: 10px; box-shadow: 0 6px 22px #0003 }</style>${rows.map(row).join('')}`);
  await page.waitForFunction(() => [...document.images].every((image) => image.complete));
  const png = (await page.screenshot()).toString('base64');
  const webp = await page.evaluate(async (png) => {
    const image = new Image();
    image.src = `data:image/png;base64,${png}`;
    await image.decode();
    const canvas = Object.assign(document.createElement('canvas'), { width: image.width, height: image.height });
    canvas.getContext('2d')!.drawImage(image, 0, 0);
    return canvas.toDataURL('image/webp', 0.86).split(',')[1]!;
  }, png);
  await page.close();
  const bytes = Buffer.from(webp, 'base64');
  writeFileSync(join(images, `${name}.webp`), bytes);
  return bytes.length;
}

it('takes the pictures of the page', async () => {
  const places = {
    chat: [`#/chat/${room}`, '#chat [data-testid=connection][data-state=live]'],
    feed: ['#/feed', '[data-testid=post] img'],
    profile: ['#/person/ana', '[data-testid=profile] ~ * [data-testid=post], #pane [data-testid=post]'],
  } as const;
  const all: Record<string, string> = {};
  for (const [name, [hash, shown]] of Object.entries(places))
    for (const size of ['desktop', 'phone'] as const)
      for (const scheme of ['light', 'dark'] as const) all[`${name} ${size} ${scheme}`] = await shot(size, scheme, hash, shown);
  const pair = (name: string, scheme: Scheme) => [all[`${name} desktop ${scheme}`]!, all[`${name} phone ${scheme}`]!];
  let bytes = await montage('page', [[all['feed desktop light']!, all['chat phone dark']!]]);
  for (const name of Object.keys(places)) bytes += await montage(name, [pair(name, 'light'), pair(name, 'dark')]);
  console.log(`${bytes} bytes`);
  expect(bytes).toBeLessThan(BYTES_MAX);
});
