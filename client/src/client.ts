// One tab's client: it links topics to the hub, asks for lists, and says how the connection is.

import type { Dial } from './line.js';
import type { ClientFrame } from './protocol.js';
import { cell, claims, type Store, unique } from './store.js';
import { openTabs, type Tabs } from './tabs.js';
import { type Connection, type Credential, type Options, PregonError } from './types.js';
import type { Cursor, Down, Unsent, Up } from './wire.js';

/** Somebody who wants to know what passes, such as toasts. */
export interface Toast {
  id: string;
  text: string;
  kind: 'notice' | 'notification';
  /** The room that it was said in. */
  topic?: string | null | undefined;
}

/** Nothing is connected before somebody listens to a store. */
export interface Client {
  readonly connection: Store<Connection>;
  readonly toasts: Store<{ list: readonly Toast[] }>;
  /** How many messages wait or have failed, by topic (`room:` and 32 digits), in rooms that nobody listens to, too. */
  readonly unsent: Store<{ topics: Readonly<Record<string, number>> }>;
  /** Whose connection it is, once it is known. */
  readonly me: { id: string; username: string } | undefined;
  /** A request of REST with the user's token, renewed if it is over. */
  api(path: string, init?: RequestInit): Promise<Response>;
  toast(toast: Omit<Toast, 'id'>): void;
  dismiss(id: string): void;
  /** Connects now, also after the connection was closed for good. */
  retry(): void;
  /** Forgets what is unsent and closes the connection, in all tabs. Call it when the user logs out. */
  logout(): Promise<void>;
  /** This tab hears nothing more, until a store is used again. */
  close(): void;
}

/** What a topic needs of its client. */
export interface Host extends Client {
  /** The store of this name; it is made if there is none. */
  store<T>(name: string, make: (host: Host) => T): T;
  /** Connects, before there is anything to listen to. */
  start(): Promise<void>;
  retain(topic: Topic): void;
  release(topic: Topic): void;
  up(message: Up): void;
  /** What is on its way in any room, by `client_id`: what was said here, and what the hub has told. */
  readonly waiting: ReadonlyMap<string, Unsent>;
  /** A request of `pregon.v1`; it fails with the server's code. */
  ask(frame: ClientFrame): Promise<any>;
  /** A request of REST with JSON, and the place that a list shows. `body` is null if it is as the tag `known` says. */
  call(method: string, path: string, body?: object, known?: string | null): Promise<{ body: any; cursor: string | null }>;
}

/** What a topic is told. */
export interface Topic {
  readonly name: string;
  /** Where it goes on from. */
  cursor(): Cursor;
  down(message: Down): void;
  connectionChanged(): void;
}

/** While somebody looks at the page the connection is looked after so often. Hidden pages have no timer. */
const TICK_MS = 5_000;
/** If so much time has passed between two ticks, the machine slept and the connection is over. */
const SLEPT_MS = 45_000;
const TOASTS_MAX = 5;
/** Stores that nobody uses are kept for a while, for those who come back. */
const STORES_MAX = 64;

export function createClient(options: Options = {}): Client {
  const base = (options.url ?? globalThis.location?.origin ?? '').replace(/\/$/, '');
  const tab = unique();
  const connection = cell<Connection>({ state: 'idle' });
  const toasts = cell<{ list: readonly Toast[] }>({ list: [] });
  const unsent = cell<{ topics: Readonly<Record<string, number>> }>({ topics: {} });
  const waiting = new Map<string, Unsent>();
  const stores = new Map<string, unknown>();
  const topics = new Set<Topic>();
  const asked = new Map<number, { message: Up; done(frame: any): void }>();
  const page = globalThis.document;
  let { user } = options;
  let tabs: Tabs | undefined;
  let started: Promise<void> | undefined;
  let numbers = 0;
  /** The answer to the hub's first question, if it was needed before. */
  let own: Promise<Credential> | undefined;
  let ticker: ReturnType<typeof setInterval> | undefined;
  let tickedAt = 0;
  let isWatched = false;

  const getToken = async (reason: 'start' | 'expired' | 'rejected'): Promise<Credential> =>
    options.getToken ? options.getToken({ reason }) : localStorage.getItem('access_token');

  async function answer(n: number, reason: 'start' | 'expired' | 'rejected') {
    const asked = (reason === 'start' && own) || getToken(reason);
    own = undefined;
    up({ type: 'credential', n, ...(await asked.then((credential) => ({ credential }), () => ({ failed: true }))) });
  }

  /** The browser's own is looked up for each connection, so that what a page puts in its place counts. */
  const dial: Dial = (url, protocols) => new (options.WebSocket ?? WebSocket)(url, protocols);

  // ── The hub ────────────────────────────────────────────────────────────────────────────────────

  const up = (message: Up) => {
    // There may be no hub to take it: the next one is told all that waits, and nothing that was given up or whose user has gone.
    if (message.type === 'unsent' || message.type === 'done') hear(message);
    tabs?.up(message);
  };

  const start = () => (started ??= begin());

  async function begin() {
    watch();
    changed({ state: 'connecting' });
    if (!user) {
      own = getToken('start');
      // Without a network there may be no token. It is asked for again; until it is reloaded the tab shares nothing.
      user = claims(await own.catch(() => (own = undefined))).user_id;
      if (!started) return;
    }
    const setting = { base, key: `${base} ${user ?? tab}`, tab, user, protocol: options.protocol ?? 'auto' };
    const isShared = options.share !== false && !!user;
    tabs =
      options.worker && isShared && navigator.locks
        ? // Nobody else has to load it.
          (await import('./worker.js')).openWorker(setting, options.worker(), hear)
        : openTabs(setting, dial, isShared, hear);
    hello();
    look();
  }

  function close() {
    started = undefined;
    tabs?.stop();
    tabs = undefined;
    clearInterval(ticker);
    forget();
    changed({ state: 'idle' });
  }

  function changed(to: Connection) {
    connection.set({ error: undefined, retryAt: undefined, ...to } as Connection);
    topics.forEach((topic) => topic.connectionChanged());
  }

  function hello() {
    up({ type: 'hello', topics: [...topics].map((topic) => [topic.name, topic.cursor()]), unsent: [...waiting.values()] });
  }

  /** Nobody answers what was asked before. Whether a write was done is not known, so it is not asked for again. */
  function forget() {
    for (const [n, { message, done }] of asked) {
      if (message.type === 'token' && tabs) up(message);
      else {
        asked.delete(n);
        done(null);
      }
    }
  }

  function hear(message: Down) {
    const { type } = message;
    if (type === 'unsent') waiting.set(message.unsent.client_id, message.unsent);
    else if (type === 'done') waiting.delete(message.client_id);
    if (type === 'unsent' || type === 'done') count();
    if (type === 'hub') {
      hello();
      forget();
    } else if (type === 'credential') answer(message.n, message.reason);
    else if (type === 'status') {
      client.me = message.me ?? client.me;
      changed(message.connection);
    } else if (type === 'reply') {
      asked.get(message.n)?.done(message.frame);
      asked.delete(message.n);
    } else if (type === 'notice') toast({ kind: type, text: message.text, topic: message.topic });
    else for (const topic of topics) if (topic.name === (message as { topic?: string }).topic) topic.down(message);
  }

  function count() {
    const topics: Record<string, number> = {};
    for (const { topic } of waiting.values()) topics[topic] = (topics[topic] ?? 0) + 1;
    unsent.set({ topics });
  }

  async function query(message: { type: 'ask'; frame: ClientFrame } | { type: 'token'; refused: string | undefined }): Promise<any> {
    await start();
    const n = ++numbers;
    const frame = await new Promise<any>((done) => {
      const whole = { ...message, n } as Up;
      asked.set(n, { message: whole, done });
      up(whole);
    });
    if (frame && frame.type !== 'error') return frame;
    throw new PregonError(frame?.code ?? 'offline', frame?.text);
  }

  // ── The page ───────────────────────────────────────────────────────────────────────────────────

  /** Looks after the connection while somebody looks at the page. */
  function look() {
    clearInterval(ticker);
    if (page?.hidden) return;
    tickedAt = Date.now();
    tabs?.poke(true);
    ticker = setInterval(() => {
      const hasSlept = Date.now() - tickedAt > SLEPT_MS;
      tickedAt = Date.now();
      tabs?.poke(hasSlept, hasSlept);
    }, TICK_MS);
  }

  function watch() {
    if (isWatched || !page) return;
    isWatched = true;
    const back = () => topics.size && start();
    page.addEventListener('visibilitychange', () => tabs && look());
    page.addEventListener('freeze', close);
    page.addEventListener('resume', back);
    addEventListener('pagehide', close);
    addEventListener('pageshow', back);
    // Whatever there was belonged to another network.
    addEventListener('online', () => tabs?.poke(true, true));
    addEventListener('offline', () => tabs?.poke(false, true));
  }

  // ── For topics and pages ───────────────────────────────────────────────────────────────────────

  async function api(path: string, init: RequestInit = {}): Promise<Response> {
    for (let refused: string | undefined; ; ) {
      const { token } = await query({ type: 'token', refused });
      const headers = { ...(token && { authorization: `Bearer ${token}` }), ...init.headers };
      const answer = await (options.fetch ?? fetch)(base + path, { ...init, headers });
      if (answer.status !== 401 || refused || !token) return answer;
      refused = token;
    }
  }

  function toast(one: Omit<Toast, 'id'>) {
    toasts.set({ list: [...toasts.get().list, { ...one, id: unique() }].slice(-TOASTS_MAX) });
  }

  const client: Host & { me: Client['me'] } = {
    connection,
    toasts,
    unsent,
    waiting,
    me: user ? { id: user, username: '' } : undefined,
    store<T>(name: string, make: (host: Host) => T): T {
      const known = stores.get(name) ?? make(client);
      // The one that was used last is the last to go.
      stores.delete(name);
      stores.set(name, known);
      if (stores.size > STORES_MAX) stores.delete(stores.keys().next().value!);
      return known as T;
    },
    start,
    retain(topic) {
      topics.add(topic);
      up({ type: 'join', topic: topic.name, cursor: topic.cursor() });
      start();
    },
    release(topic) {
      topics.delete(topic);
      const { name } = topic;
      if (![...topics].some((other) => other.name === name)) up({ type: 'leave', topic: name });
    },
    up(message) {
      start();
      up(message);
    },
    ask: (frame) => query({ type: 'ask', frame }),
    api,
    async call(method, path, sent, known) {
      const answer = await api(path, {
        method,
        cache: 'no-store',
        headers: { ...(sent && { 'content-type': 'application/json' }), ...(known && { 'if-none-match': known }) },
        ...(sent && { body: JSON.stringify(sent) }),
      });
      const { status, headers } = answer;
      const body = status === 304 ? null : await answer.json().catch(() => ({}));
      if (status < 400) return { body, cursor: headers.get('x-pregon-cursor') };
      throw new PregonError(`${status}`, body.detail ?? body.error ?? Object.values(body).flat()[0]);
    },
    toast,
    dismiss: (id) => toasts.set({ list: toasts.get().list.filter((one) => one.id !== id) }),
    async retry() {
      await start();
      up({ type: 'connect' });
    },
    async logout() {
      await start();
      waiting.forEach(({ topic, client_id }) => up({ type: 'done', topic, client_id }));
      up({ type: 'logout' });
    },
    close,
  };
  return client;
}
