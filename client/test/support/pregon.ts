// Real servers for tests: pregon on a free port with a folder of its own, and a proxy that can break the network before it.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createHmac, randomUUID } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, connect, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** Built by `cargo build -p pregon`. */
export const PREGON = process.env.PREGON ?? fileURLToPath(new URL('../../../target/debug/pregon', import.meta.url));
const SECRET = 'a secret of the tests, long enough';

export interface User {
  id: string;
  username: string;
  token: string;
}

export class Pregon {
  private process: ChildProcess | undefined;
  address = '';
  users: User[] = [];
  rooms: { id: string; members: number[] }[] = [];

  private constructor(
    readonly folder: string,
    private readonly settings: Record<string, string>,
  ) {}

  /** A server that somebody else has started. */
  static of(address: string, fixture: string): Pregon {
    return Object.assign(new Pregon('', {}), { address }, JSON.parse(readFileSync(fixture, 'utf8')));
  }

  /** With seeded users, all of whom are in each room. */
  static async start(settings: Record<string, string> = {}, seed = { users: 4, rooms: 3 }): Promise<Pregon> {
    const server = new Pregon(mkdtempSync(join(tmpdir(), 'pregon-client-')), settings);
    const out = join(server.folder, 'fixture.json');
    const { users, rooms } = seed;
    const numbers = ['--users', users, '--rooms', rooms, '--members', users].map(String);
    execFileSync(PREGON, ['seed', '--out', out, ...numbers], { env: server.environment, cwd: server.folder });
    Object.assign(server, JSON.parse(readFileSync(out, 'utf8')));
    await server.serve();
    return server;
  }

  private get environment(): Record<string, string> {
    return {
      PREGON_DATABASE_URL: `sqlite://${this.folder}/pregon.db`,
      PREGON_MEDIA_DIR: `${this.folder}/media`,
      PREGON_JWT_SECRET: SECRET,
      PREGON_LISTEN: this.address || '127.0.0.1:0',
      PREGON_RATE_LIMITS: 'off',
      PREGON_DRAIN_SECONDS: '1',
      PREGON_SHARDS: '1',
      PREGON_ALLOWED_ORIGINS: '*',
      ...this.settings,
    };
  }

  /** Starts it, again at the same address. */
  async serve(): Promise<void> {
    const server = spawn(PREGON, ['serve'], { env: this.environment, cwd: this.folder, stdio: ['ignore', 'pipe', 'pipe'] });
    this.process = server;
    let log = '';
    server.stderr.on('data', (text) => (log += text));
    for await (const line of createInterface(server.stdout)) {
      const address = /http:\/\/([^/ ]+)/.exec(line)?.[1];
      if (!address) continue;
      this.address = address;
      server.stdout.resume();
      return;
    }
    throw new Error(`pregon does not start:\n${log}`);
  }

  get url(): string {
    return `http://${this.address}`;
  }

  /** Ends it by this signal. */
  async stop(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    const server = this.process;
    if (!server || server.exitCode !== null || server.signalCode) return;
    const ended = new Promise((resolve) => server.once('exit', resolve));
    server.kill(signal);
    await ended;
  }

  async end(): Promise<void> {
    await this.stop();
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** A request of REST as a user. */
  async rest(user: number, method: string, path: string, body?: object): Promise<any> {
    const answer = await fetch(this.url + path, {
      method,
      headers: { authorization: `Bearer ${this.users[user]!.token}`, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
    return answer.status === 204 ? null : answer.json();
  }

  say(user: number, room: number, content: string): Promise<any> {
    return this.rest(user, 'POST', `/api/messaging/chats/${this.rooms[room]!.id}/send_message/`, { content });
  }

  /** What a room has, the oldest first. */
  async contents(room: number, user = 0): Promise<string[]> {
    const all: string[] = [];
    for (let path: string | null = `/api/messaging/chats/${this.rooms[room]!.id}/messages/`; path; ) {
      const { results, next }: any = await this.rest(user, 'GET', path);
      all.push(...results.map((message: any) => message.content));
      path = next && new URL(next).pathname + new URL(next).search;
    }
    return all.reverse();
  }

  /** A metric's value, summed over its labels, or over those with this one. */
  async metric(name: string, label = ''): Promise<number> {
    const text = await (await fetch(`${this.url}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line.split(/[ {]/)[0] === name && line.includes(label));
    return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
  }

  /** An access token that ends after so many seconds. */
  token(user: number, seconds: number): string {
    const now = Math.floor(Date.now() / 1000);
    const jti = randomUUID().replace(/-/g, '');
    const text = (json: object) => Buffer.from(JSON.stringify(json)).toString('base64url');
    const claims = { token_type: 'access', iat: now, exp: now + seconds, jti, user_id: this.users[user]!.id };
    const signed = `${text({ alg: 'HS256', typ: 'JWT' })}.${text(claims)}`;
    return `${signed}.${createHmac('sha256', SECRET).update(signed).digest('base64url')}`;
  }
}

/** Connections to a server that can be cut, or go silent without a word. */
export class Proxy {
  private readonly pairs = new Set<[Socket, Socket]>();
  isDown = false;
  url = '';

  private constructor(public targets: string[]) {}

  /** Before one server, or several: the first that takes a connection has it. */
  static start(...targets: string[]): Promise<Proxy> {
    const proxy = new Proxy(targets);
    return new Promise((resolve) => {
      const server = createServer((socket) => proxy.accept(socket)).listen(0, '127.0.0.1', () => {
        proxy.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
        resolve(proxy);
      });
      proxy.end = () => {
        proxy.cut();
        server.close();
      };
    });
  }

  end(): void {}

  private accept(socket: Socket, [target, ...others] = this.targets): void {
    if (this.isDown || !target) return void socket.destroy();
    const [host, port] = target.split(':') as [string, string];
    socket.pause();
    socket.on('error', () => {});
    const other = connect(Number(port), host);
    other.once('connect', () => {
      const pair: [Socket, Socket] = [socket, other];
      this.pairs.add(pair);
      for (const [from, to] of [pair, [other, socket] as const]) {
        from.on('data', (bytes) => to.write(bytes));
        from.on('close', () => {
          this.pairs.delete(pair);
          to.destroy();
        });
      }
      socket.resume();
    });
    let isConnected = false;
    other.once('connect', () => (isConnected = true));
    other.on('error', () => isConnected || this.accept(socket, others));
  }

  /** Ends all connections, as a network that is gone does once somebody notices. */
  cut(): void {
    for (const pair of this.pairs) pair.forEach((one) => one.destroy());
  }

  /** Nothing passes any more on the connections that there are, and nobody is told. */
  silence(): void {
    for (const pair of this.pairs) {
      pair.forEach((one) => {
        one.pause();
        one.removeAllListeners('data');
      });
    }
  }
}
