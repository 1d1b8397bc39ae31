// Debian's Chromium with the tests' page, by Playwright's API.

import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import type { Pregon } from './pregon.js';

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

const children = () =>
  execFileSync('ps', ['--ppid', String(process.pid), '-o', 'pid='], { encoding: 'utf8' }).trim().split(/\s+/).map(Number);

/** What the page's script has put on its window. */
declare global {
  interface Window {
    client: any;
    chat: any;
    bell: any;
    asked: string[];
    start(settings: object): void;
  }
}

/** Serves the page, its worker, and tokens. */
export class Site {
  private server!: Server;
  browser!: Browser;
  /** The browser's. */
  process = 0;
  url = '';
  /** The token of a user; empty: nobody is logged in. */
  token: (user: string, reason: string) => string = () => '';
  asked: string[] = [];

  /** `mode` is React's: StrictMode does its work in `development` alone. */
  static async start(mode: 'development' | 'production' = 'development'): Promise<Site> {
    const site = new Site();
    const executablePath = process.env.CHROMIUM ?? '/usr/bin/chromium';
    if (!existsSync(executablePath)) throw new Error(`${executablePath} is not there: apt-get install chromium`);
    const { outputFiles } = await build({
      entryPoints: { page: at('../browser/page.tsx'), worker: at('../browser/worker.ts'), push_worker: at('../browser/push_worker.ts') },
      bundle: true,
      splitting: true,
      format: 'esm',
      jsx: 'automatic',
      define: { 'process.env.NODE_ENV': JSON.stringify(mode) },
      outdir: '/',
      write: false,
    });
    const files = new Map(outputFiles.map((file) => [file.path, file.text]));
    site.server = createServer((request, response) => {
      const { pathname, searchParams } = new URL(request.url!, 'http://x');
      if (pathname === '/token') {
        const [user, reason] = [searchParams.get('user')!, searchParams.get('reason')!];
        site.asked.push(reason);
        return void response.end(site.token(user, reason));
      }
      const script = files.get(pathname);
      response.setHeader('content-type', script ? 'text/javascript' : 'text/html');
      response.end(script ?? '<!doctype html><meta charset=utf-8><link rel=icon href=data:,><div id=root></div><script type=module src=/page.js></script>');
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => site.server.once('listening', resolve));
    site.url = `http://127.0.0.1:${(site.server.address() as AddressInfo).port}`;
    const before = children();
    site.browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
    site.process = children().find((pid) => !before.includes(pid)) ?? 0;
    return site;
  }

  async end(): Promise<void> {
    await this.browser.close();
    this.server.close();
  }

  /** A tab with the page, started for a user of a server. */
  async tab(context: BrowserContext, server: Pregon, user: number, { url = server.url, room = 0, ...more } = {} as { url?: string; room?: number; worker?: boolean; options?: object }): Promise<Page> {
    const page = await context.newPage();
    page.on('pageerror', (error) => console.error(error));
    await page.goto(this.url);
    await this.begin(page, server, user, { url, room, ...more });
    return page;
  }

  async begin(page: Page, server: Pregon, user: number, { url = server.url, room = 0, ...more }: { url?: string; room?: number; worker?: boolean; options?: object } = {}): Promise<void> {
    await page.waitForFunction(() => 'start' in window);
    const settings = { url, user: server.users[user]!.id, room: server.rooms[room]!.id, tokens: `${this.url}/token`, ...more };
    await page.evaluate((settings) => window.start(settings), settings);
  }
}

export const status = (page: Page): Promise<string> => page.textContent('#status').then((text) => text ?? '');

export const texts = (page: Page): Promise<string[]> => page.$$eval('li', (items) => items.map((item) => item.textContent ?? ''));

export const say = (page: Page, text: string): Promise<string> => page.evaluate((text) => window.chat.send(text), text);

/** Until a page's condition holds. */
export async function sees(page: Page, what: (text: string[], status: string) => boolean, within = 15_000): Promise<void> {
  const end = Date.now() + within;
  for (;;) {
    const [shown, at] = [await texts(page), await status(page)];
    if (what(shown, at)) return;
    if (Date.now() > end) throw new Error(`never: ${what}; ${at}: ${shown.slice(-10).join(', ')}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export const isLive = (page: Page, within?: number): Promise<void> => sees(page, (_, at) => at === 'live', within);
