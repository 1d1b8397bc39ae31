// Runs commands as a reader would, and a pregon with people who have something to say.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Browser, chromium, type Page } from 'playwright-core';
import { Pregon } from '../test/support/pregon.js';

export const client = fileURLToPath(new URL('..', import.meta.url));
export const PASSWORD = 'a password 123';

/** Without the settings of the test run, and without a word to Next.js's makers. */
const environment = (more: Record<string, string> = {}) => {
  const { NODE_ENV: _, VITEST: __, ...rest } = process.env;
  return { ...rest, NEXT_TELEMETRY_DISABLED: '1', CI: '1', ...more } as Record<string, string>;
};

/** A new user of a server. Returns the place among its users. */
export async function register(server: Pregon, username: string, display_name: string): Promise<number> {
  const body = { email: `${username}@example.com`, username, display_name, password: PASSWORD, password_confirm: PASSWORD };
  const answer = await fetch(`${server.url}/api/auth/register/`, {
    method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body),
  });
  const { user, tokens } = (await answer.json()) as any;
  server.users.push({ id: user.id, username, token: tokens.access });
  return server.users.length - 1;
}

export class Demo {
  readonly folder = mkdtempSync(join(tmpdir(), 'pregon-demo-'));
  readonly began = Date.now();
  server!: Pregon;
  browser!: Browser;
  private readonly started: ChildProcess[] = [];

  static async start(): Promise<Demo> {
    const demo = new Demo();
    demo.server = await Pregon.start({}, { users: 1, rooms: 1 });
    demo.browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args: ['--no-sandbox'] });
    return demo;
  }

  async end(): Promise<void> {
    for (const one of this.started) if (one.exitCode === null) process.kill(-one.pid!, 'SIGKILL');
    await this.browser?.close();
    await this.server?.end();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A command of a shell, told as it is run. */
  run(command: string, folder = this.folder, more: Record<string, string> = {}): void {
    const before = Date.now();
    execFileSync('bash', ['-euc', command], { cwd: folder, env: environment(more), stdio: ['ignore', 'pipe', 'inherit'] });
    console.log(`${((Date.now() - before) / 1000).toFixed(1).padStart(6)} s  ${command.split('\n').join('\n          ')}`);
  }

  /** Something that serves, until a text is printed. */
  serve(command: string, folder: string, ready: RegExp, more: Record<string, string> = {}): Promise<void> {
    const started = spawn('bash', ['-euc', `exec ${command}`], { cwd: folder, env: environment(more), detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
    this.started.push(started);
    return new Promise((resolve, reject) => {
      let said = '';
      const hear = (text: Buffer) => {
        said += text;
        if (ready.test(said)) resolve();
      };
      started.stdout.on('data', hear);
      started.stderr.on('data', hear);
      started.once('exit', () => reject(new Error(`${command} ended:\n${said}`)));
    });
  }

  /** The folder of the package alone, as it is in a fresh checkout. */
  copy(): string {
    const folder = join(this.folder, 'client');
    cpSync(client, folder, { recursive: true, filter: (path) => !/\/(node_modules|dist)$|\.tgz$/.test(path) });
    return folder;
  }

  register(username: string, display_name: string): Promise<number> {
    return register(this.server, username, display_name);
  }

  async page(): Promise<Page> {
    const page = await (await this.browser.newContext({ viewport: { width: 720, height: 640 } })).newPage();
    page.on('pageerror', (error) => console.error(error));
    return page;
  }
}
