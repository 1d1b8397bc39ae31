// One tab's client: it links topics to the hub, asks for lists, and says how the connection is.

import type { Socket } from './line.js';
import type { ClientFrame, ServerFrame } from './protocol.js';
import { cell, claims, type Store, unique } from './store.js';
import { openTabs, openWorker, type Tabs } from './tabs.js';
import { type Connection, type Credential, type Options, PregonError } from './types.js';
import type { Down, Unsent, Up } from './wire.js';

/** Somebody who wants to know what passes, such as toasts. */
export interface Toast {
  id: string;
  text: string;
  kind: 'notice' | 'notification';
  /** The room that it was said in. */
  topic?: string | null;
}

/** What a topic needs of its client, and what it is told. */
export interface Host {
  readonly connection: Store<Connection>;
  readonly me: { id: string; username: string } | undefined;
  /** Connects, before there is anything to listen to. */
  start(): Promise<void>;
  retain(topic: Topic): void;
  release(topic: Topic): void;
  up(message: Up): void;
  /** A request of `pregon.v1`; it fails with the server's code. */
  ask(frame: ClientFrame): Promise<any>;
  /** A request of REST with the user's token. */
  api(path: string, init?: RequestInit): Promise<Response>;
  json(method: string, path: string, body?: object): Promise<any>;
  /** A list with the place that it shows and its tag; `body` is null if it is as the tag `known` says. */
  list(path: string, known?: string | null): Promise<{ body: any; cursor: string | null; etag: string | null }>;
  toast(toast: Omit<Toast, 'id'>): void;
}

export interface Topic {
  readonly name: string;
  /** Where it goes on from. */
  cursor(): string | null;
  unsent(): Unsent[];
  down(message: Down): void;
  connectionChanged(): void;
}

/** While somebody looks at the page the connection is looked after so often. Hidden pages have no timer. */
const TICK_MS = 5_000;
/** If so much time has passed between two ticks, the machine slept and the connection is over. */
const SLEPT_MS = 45_000;
const TOASTS_MAX = 5;
const REPLY_WITHIN_MS = 15_000;

export function createHost(options: Options) {
  const base = (options.url ?? globalThis.location?.origin ?? '').replace(/\/+$/, '');
  const tab = unique();
  const connection = cell<Connection>({ state: 'idle' });
  const toasts = cell<{ list: readonly Toast[] }>({ list: [] });
  const topics = new Set<Topic>();
  const asked = new Map<number, (frame: any) => void>();
  let me: { id: string; username: string } | undefined = options.user ? { id: options.user, username: '' } : undefined;
  let tabs: Tabs | undefined;
  let started: Promise<void> | undefined;
  let starts = 0;
  let numbers = 0;
  let own: Promise<Credential> | undefined;
  let ticker: ReturnType<typeof setInterval> | undefined;
  let tickedAt = 0;
  let isWatched = false;

  // ── Tokens ─────────────────────────────────────────────────────────────────────────────────────

  const getToken = options.getToken ?? (() => globalThis.localStorage?.getItem('access_token'));

  /** The hub keeps it, for all tabs. */
  async function tokenFor(refused?: string): Promise<string | null> {
    await start();
    const reply = await query((n) => ({ t: 'token', n, ...(refused && { refused }) }));
    if (reply.type === 'token') return reply.token;
    throw new PregonError(reply.code, reply.text);
  }

  async function answer({ n, reason }: Down & { t: 'credential' }) {
    try {
      const credential = (reason === 'start' && own) || Promise.resolve().then(() => getToken({ reason }));
      own = undefined;
      up({ t: 'credential', n, credential: await credential });
    } catch (error) {
      up({ t: 'credential', n, failed: String(error) });
    }
  }

  // ── The hub ────────────────────────────────────────────────────────────────────────────────────

  const up = (message: Up) => tabs?.up(message);

  const start = () => (started ??= begin());

  async function begin() {
    watchPage();
    changed({ state: 'connecting' });
    let { user } = options;
    if (!user) {
      const mine = ++starts;
      own = Promise.resolve().then(() => getToken({ reason: 'start' }));
      try {
        user = claims(await own).user_id;
      } catch {
        // Without a network there may be no token. It is asked for again; until it is reloaded the tab shares nothing.
        own = undefined;
      }
      if (mine !== starts) return;
    }
    const isShared = options.share !== false && !!user;
    const setting = { base, key: `${base} ${user ?? tab}`, tab, user, protocol: options.protocol ?? 'auto' };
    tabs = options.worker && isShared
      ? openWorker(setting, options.worker(), hear)
      : openTabs(setting, (options.WebSocket ?? globalThis.WebSocket) as Socket, isShared, hear);
    hello();
    look();
  }

  function stop() {
    starts += 1;
    started = undefined;
    tabs?.stop();
    tabs = undefined;
    clearInterval(ticker);
    for (const done of asked.values()) done(null);
    asked.clear();
    changed({ state: 'idle' });
  }

  function changed(to: Connection) {
    connection.set({ error: undefined, retryAt: undefined, ...to } as Connection);
    topics.forEach((topic) => topic.connectionChanged());
  }

  function hello() {
    up({
      t: 'hello',
      topics: [...topics].map((topic) => [topic.name, topic.cursor()]),
      unsent: [...topics].flatMap((topic) => topic.unsent()),
    });
  }

  function hear(message: Down) {
    switch (message.t) {
      case 'hub':
        return hello();
      case 'credential':
        return void answer(message);
      case 'status':
        me = message.me ?? me;
        return changed(message.connection);
      case 'reply': {
        const done = asked.get(message.n);
        asked.delete(message.n);
        return done?.(message.frame);
      }
      case 'notice':
        return toast({ kind: 'notice', text: message.text, topic: message.topic ?? null });
      case 'logout':
      case 'alive':
        return;
      default:
        for (const topic of topics) if (topic.name === message.topic) topic.down(message);
    }
  }

  function query(message: (n: number) => Up): Promise<any> {
    const n = ++numbers;
    return new Promise((resolve, reject) => {
      const fail = () => reject(new PregonError('offline', 'There is no connection.'));
      if (!tabs) return fail();
      const timer = setTimeout(() => asked.delete(n) && fail(), REPLY_WITHIN_MS);
      asked.set(n, (frame) => {
        clearTimeout(timer);
        if (frame) resolve(frame);
        else fail();
      });
      up(message(n));
    });
  }

  // ── The page ───────────────────────────────────────────────────────────────────────────────────

  const page = globalThis.document;

  /** Looks after the connection while somebody looks at the page. */
  function look() {
    clearInterval(ticker);
    if (page?.hidden) return;
    tickedAt = Date.now();
    tabs?.poke(true);
    ticker = setInterval(() => {
      const now = Date.now();
      const hasSlept = now - tickedAt > SLEPT_MS;
      tickedAt = now;
      tabs?.poke(hasSlept, hasSlept);
    }, TICK_MS);
  }

  function watchPage() {
    if (!page || isWatched) return;
    isWatched = true;
    const back = () => topics.size && start();
    page.addEventListener('visibilitychange', () => tabs && look());
    page.addEventListener('freeze', stop);
    page.addEventListener('resume', back);
    addEventListener('pagehide', stop);
    addEventListener('pageshow', (event) => event.persisted && back());
    // Whatever there was belonged to another network.
    addEventListener('online', () => tabs?.poke(true, true));
    addEventListener('offline', () => tabs?.poke(false, true));
  }

  // ── For topics ─────────────────────────────────────────────────────────────────────────────────

  async function api(path: string, init: RequestInit = {}): Promise<Response> {
    for (let refused: string | undefined; ; ) {
      const token = await tokenFor(refused);
      const headers = { ...(token && { authorization: `Bearer ${token}` }), ...init.headers };
      const answer = await (options.fetch ?? fetch)(base + path, { ...init, headers });
      if (answer.status !== 401 || refused || !token) return answer;
      refused = token;
    }
  }

  async function json(method: string, path: string, body?: object): Promise<any> {
    const answer = await api(path, {
      method,
      ...(body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    return read(answer);
  }

  async function read(answer: Response): Promise<any> {
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) return said;
    throw new PregonError(String(answer.status), said.detail ?? said.error ?? Object.values(said).flat()[0] ?? answer.statusText);
  }

  async function list(path: string, known?: string | null) {
    const answer = await api(path, { cache: 'no-store', ...(known && { headers: { 'if-none-match': known } }) });
    const body = answer.status === 304 ? null : await read(answer);
    return { body, cursor: answer.headers.get('x-pregon-cursor'), etag: answer.headers.get('etag') };
  }

  function toast(one: Omit<Toast, 'id'>) {
    toasts.set({ list: [...toasts.get().list, { ...one, id: unique() }].slice(-TOASTS_MAX) });
  }

  const host = {
    connection: connection as Store<Connection>,
    toasts: toasts as Store<{ list: readonly Toast[] }>,
    get me() {
      return me;
    },
    start,
    retain(topic: Topic) {
      topics.add(topic);
      if (tabs) up({ t: 'join', topic: topic.name, cursor: topic.cursor() });
      else void start();
    },
    release(topic: Topic) {
      topics.delete(topic);
      if (![...topics].some(({ name }) => name === topic.name)) up({ t: 'leave', topic: topic.name });
    },
    up(message: Up) {
      if (!tabs) void start();
      up(message);
    },
    async ask(frame: ClientFrame): Promise<any> {
      const reply: ServerFrame = await query((n) => ({ t: 'ask', n, frame }));
      if (reply.type === 'error') throw new PregonError(reply.code, reply.text);
      return reply;
    },
    api,
    json,
    list,
    toast,
    dismiss(id: string) {
      toasts.set({ list: toasts.get().list.filter((one) => one.id !== id) });
    },
    /** Connects now, also after the connection was closed for good. */
    retry() {
      if (tabs) up({ t: 'connect' });
      else void start();
    },
    /** Forgets what is unsent and closes the connection, in all tabs. Call it when the user logs out. */
    async logout() {
      await start();
      up({ t: 'logout' });
    },
    /** Leaves: this tab hears nothing more until a topic is used again. */
    close: stop,
  };
  return host satisfies Host;
}
