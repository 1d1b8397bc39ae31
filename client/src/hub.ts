// Holds the connection for all tabs: credentials, reconnects, subscriptions with their cursors, and requests.

import { decode, person } from './decode.js';
import { type Dial, type Line, openV1 } from './line.js';
import type { Outbox } from './outbox.js';
import type { ClientFrame, RequestId, ServerFrame } from './protocol.js';
import { createQueue } from './queue.js';
import { claims, isBehind } from './store.js';
import type { Connection, Credential, Failure, Person, TokenReason } from './types.js';
import type { Cursor, Down, Up } from './wire.js';

export interface HubSettings {
  base: string;
  user?: string | undefined;
  protocol: 'auto' | 'v1' | 'plain';
}

export interface Hub {
  receive(tab: string, message: Up): void;
  /** A tab has gone, with or without a word. */
  gone(tab: string): void;
  close(): void;
}

interface Link {
  line: Line;
  /** The credential is on its way, and requests may follow it. */
  isGreeted?: boolean;
  isLive?: boolean;
  /** The newest request for each topic, and whether it is answered. */
  subscriptions: Map<string, { isSettled?: boolean }>;
  /** Users by topic and by their number in it. */
  names: Map<string, Person>;
  asked: Map<RequestId, (frame: ServerFrame | null) => void>;
  /** When the token ends, in seconds since 1970. */
  expires: number;
}

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 20_000;
/** The server has closed the connection because too much was sent. */
const TOO_MUCH_MS = 30_000;
/** A connection that lived this long was good: the next failure begins with the first delay. */
const GOOD_AFTER_MS = 5_000;
/** Browsers would wait for minutes. */
const HANDSHAKE_MS = 10_000;
/** After so long without a frame the connection is asked whether it is there. The server asks after 20 s, unseen by pages. */
const QUIET_MS = 20_000;
/** The answer comes before the next poke, or not at all. */
const ANSWER_MS = 3_500;
/** A token is renewed so long before it ends, if somebody looks at the page then. Otherwise the server says when (4001). */
const RENEW_MS = 60_000;
/** How long an unused connection is kept, for pages that leave one topic before they open the next. */
const LINGER_MS = 5_000;

const OFFLINE = { type: 'error', code: 'offline', text: '', retry: 'later' } as const;

/** `self` is the tab that the hub is in. */
export function createHub(
  { base, user, protocol }: HubSettings,
  dial: Dial,
  outbox: Outbox,
  out: (message: Down, tab?: string) => void,
  self?: string,
): Hub {
  /** Topics with the place of what was heard last. */
  const topics = new Map<string, Cursor>();
  /** Tabs with what they listen to. */
  const tabs = new Map<string, Set<string>>();
  const timers = new Map<string, ReturnType<typeof setTimeout>>();
  /** Questions for a credential, by number. */
  const questions = new Map<number, [tab: string, done: (answer: { credential?: Credential; failed?: boolean }) => void]>();
  let connection: Connection = { state: 'idle' };
  let me: { id: string; username: string } | undefined;
  let current: Link | undefined;
  /** Becomes the current one when it is live: the server asked to move. */
  let next: Link | undefined;
  let numbers = 0;
  let attempt = 0;
  let failures = 0;
  let liveSince = 0;
  let heardAt = 0;
  let pingedAt = 0;
  let answersPings = false;
  let wasRejected = false;
  let token: string | undefined;
  let flight: Promise<Credential> | undefined;
  /** Handshakes of `pregon.v1` that failed before any succeeded. */
  let misses = 0;
  let known: 'v1' | 'plain' | undefined = protocol === 'auto' ? undefined : protocol;

  let isOver = false;

  /** Nothing any more once it is over: what was kept may be read only then. */
  const send = (message: Down, tab?: string) => {
    if (!isOver) out(message, tab);
  };

  const queue = createQueue(outbox, send, (frame, done) => (current?.isLive ? request(current, frame, done) : wake()));

  /** One timer for each name. */
  function after(name: string, ms: number, work: () => unknown) {
    clearTimeout(timers.get(name));
    timers.set(name, setTimeout(work, ms));
  }

  const tell = (tab?: string) => send({ type: 'status', connection, me }, tab);

  function enter(state: Connection['state'], more?: Partial<Connection>) {
    connection = { state, ...more, ...(known && { protocol: known }) };
    tell();
  }

  // ── Credentials ────────────────────────────────────────────────────────────────────────────────

  /** One question at a time, whoever needs the answer. */
  async function credentialFor(reason: TokenReason): Promise<Credential> {
    if (reason === 'start' && token && !(claims(token).exp! * 1000 < Date.now())) return token;
    flight ??= ask(reason).finally(() => (flight = undefined));
    const credential = await flight;
    token = typeof credential === 'string' ? credential : undefined;
    return credential;
  }

  const ask = (reason: TokenReason) =>
    new Promise<Credential>((resolve, reject) => {
      const tab = self && tabs.has(self) ? self : [...tabs.keys()].pop();
      const n = ++numbers;
      if (!tab) return reject();
      questions.set(n, [tab, ({ credential, failed }) => (failed ? reject() : resolve(credential))]);
      send({ type: 'credential', n, reason }, tab);
    });

  function answered(n: number, answer: { credential?: Credential; failed?: boolean }) {
    questions.get(n)?.[1](answer);
    questions.delete(n);
  }

  // ── Connecting ─────────────────────────────────────────────────────────────────────────────────

  async function connect(reason: TokenReason = 'start') {
    drop();
    const mine = ++attempt;
    enter('connecting');
    try {
      const credential = await credentialFor(reason);
      const isPlain = known ? known === 'plain' : misses > 1;
      // Nobody else has to load it.
      const opened = isPlain && (await import('./plain.js')).openPlain;
      if (mine !== attempt) return;
      if (!credential) return end('logged_out');
      current = open(credential, opened || openV1, isPlain);
      hurry();
    } catch {
      if (mine === attempt) wait();
    }
  }

  /** Connects for whoever listens or has something to say, unless the connection waits or is over. */
  function wake() {
    if (connection.state === 'idle' && !isOver) connect();
  }

  const hurry = () => after('handshake', HANDSHAKE_MS, () => failed(1006));

  function open(credential: NonNullable<Credential>, speak: typeof openV1, isPlain?: boolean): Link {
    const link: Link = {
      line: speak(base, dial, {
        isGuess: !known,
        credential,
        opened() {
          link.isGreeted = true;
          authenticate(link, credential);
          // What is asked for before the welcome is kept by the server.
          for (const topic of topics.keys()) subscribe(link, topic);
        },
        heard: (frame) => heard(link, frame),
        closed(code, wasOpen) {
          if (!known && !wasOpen) misses = isPlain ? 0 : misses + 1;
          // A refused handshake does not say why: perhaps it was the token.
          if (isPlain && !wasOpen) token = undefined;
          settle(link);
          if (link === next) next = undefined;
          else if (link !== current) return;
          else if (next) promote();
          else failed(code);
        },
      }),
      subscriptions: new Map(),
      names: new Map(),
      asked: new Map(),
      expires: 0,
    };
    return link;
  }

  function authenticate(link: Link, credential: NonNullable<Credential>) {
    request(link, { type: 'auth', ...(typeof credential === 'string' ? { token: credential } : credential) }, (reply) => {
      if (reply?.type === 'welcome') welcomed(link, reply);
      else if (reply?.type === 'refreshed') link.expires = isSoon(reply.token_expires) ? 0 : reply.token_expires;
      else if (reply?.type === 'error') refused(link, reply);
    });
  }

  function welcomed(link: Link, { user: who, token_expires }: ServerFrame & { type: 'welcome' }) {
    if (user && user !== who.id) return end('other_user');
    user = who.id;
    me = who;
    link.isLive = true;
    link.expires = token_expires;
    wasRejected = false;
    known = link.line.protocol;
    answersPings ||= known === 'v1';
    if (link === next) return moved();
    clearTimeout(timers.get('handshake'));
    goLive();
  }

  function goLive() {
    liveSince = Date.now();
    enter('live');
    queue.flush();
  }

  /** A token that is not taken is replaced once. */
  function refused(link: Link, { code, text, retry }: ServerFrame & { type: 'error' }) {
    if (link === next) {
      quit(next);
      next = undefined;
    } else if (link.isLive) return;
    else if (retry === 'later') wait();
    else if (wasRejected) end(code, text);
    else {
      wasRejected = true;
      connect('rejected');
    }
  }

  /** The connection is over, by this close code. */
  function failed(code: number) {
    if (code === 1000 || code === 4003) return end(`${code}`);
    const wasGood = !!liveSince && Date.now() - liveSince > GOOD_AFTER_MS;
    if (wasGood) failures = 0;
    if (code !== 4001 || (wasRejected && !wasGood)) return wait(code === 4029 ? TOO_MUCH_MS : FIRST_DELAY_MS);
    wasRejected = !wasGood;
    connect('expired');
  }

  /** Waits at random, so that a thousand pages do not come back in the same instant. */
  function wait(least = FIRST_DELAY_MS) {
    drop();
    const most = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures + 2));
    failures += 1;
    const delay = least + Math.random() * (most - FIRST_DELAY_MS);
    after('connect', delay, connect);
    enter(globalThis.navigator?.onLine === false ? 'offline' : 'waiting', { retryAt: Date.now() + delay });
  }

  function end(code: string, text = '') {
    close();
    enter('closed', { error: { code, text } });
  }

  /** Leaves what there is of a connection. */
  function drop() {
    timers.forEach((timer) => clearTimeout(timer));
    liveSince = pingedAt = 0;
    const links = [current, next];
    current = next = undefined;
    links.forEach(quit);
  }

  function quit(link: Link | undefined) {
    if (!link) return;
    link.line.close();
    settle(link);
  }

  /** Nothing is answered any more. */
  function settle({ asked }: Link) {
    for (const [id, done] of asked) {
      asked.delete(id);
      done(null);
    }
  }

  // ── Moving to another connection ───────────────────────────────────────────────────────────────

  async function move() {
    // If that fails the server closes the old one, and then it is a reconnect like any other.
    const credential = await credentialFor('start').catch(() => null);
    if (credential && current?.isLive && !next) next = open(credential, openV1);
  }

  /** The new connection takes over once it hears all that the old one does. */
  function moved() {
    if (!next?.isLive || [...topics.keys()].some((topic) => !next!.subscriptions.get(topic)?.isSettled)) return;
    quit(current);
    promote();
  }

  function promote() {
    current = next;
    next = undefined;
    if (current!.isLive) return goLive();
    hurry();
    enter('connecting');
  }

  // ── Topics ─────────────────────────────────────────────────────────────────────────────────────

  function join(tab: string, topic: string, cursor: Cursor) {
    tabs.get(tab)?.add(topic);
    const isKnown = topics.has(topic);
    const last = topics.get(topic);
    if (!isKnown || (cursor && (!last || isBehind(last, cursor)))) topics.set(topic, cursor);
    if (!current) wake();
    else if (topic === 'feed' && current.subscriptions.get(topic)?.isSettled) send({ type: 'subscribed', topic, cursor: null }, tab);
    else {
      // Told again from the earlier place on, and who is present; tabs pass over what they have heard.
      if (isKnown) unsubscribe(topic);
      for (const link of [current, next]) if (link) subscribe(link, topic);
    }
  }

  function subscribe(link: Link, topic: string) {
    if (!link.isGreeted) return;
    const mine: { isSettled?: boolean } = {};
    link.subscriptions.set(topic, mine);
    request(link, { type: 'subscribe', topic, cursor: topics.get(topic) }, (reply) => {
      if (link.subscriptions.get(topic) !== mine || !reply) return;
      mine.isSettled = true;
      if (reply.type === 'subscribed') {
        if (!reply.resumed) topics.set(topic, reply.cursor);
        send(reply);
      } else if (reply.type === 'error') lost(link, topic, reply);
      moved();
    });
  }

  function unsubscribe(topic: string) {
    for (const link of [current, next]) {
      if (link?.subscriptions.delete(topic)) request(link, { type: 'unsubscribe', topic }, () => {});
    }
  }

  function lost(link: Link, topic: string, { code, text, retry, retry_after_ms }: ServerFrame & { type: 'error' | 'unsubscribed' }) {
    if (retry !== 'later') return send({ type: 'lost', topic, error: { code, text } as Failure });
    after(topic, (retry_after_ms ?? 2000) * (1 + Math.random()), () => {
      if (topics.has(topic)) subscribe(link, topic);
    });
  }

  function leave(tab: string, topic: string) {
    tabs.get(tab)?.delete(topic);
    if ([...tabs.values()].some((wanted) => wanted.has(topic))) return;
    topics.delete(topic);
    unsubscribe(topic);
    after('rest', LINGER_MS, () => {
      if (topics.size || !current || !queue.isEmpty()) return;
      drop();
      enter('idle');
    });
  }

  // ── Frames ─────────────────────────────────────────────────────────────────────────────────────

  function request(link: Link, frame: ClientFrame, done: (frame: ServerFrame | null) => void): number {
    const id = ++numbers;
    link.asked.set(id, done);
    link.line.send({ ...frame, id });
    return id;
  }

  function heard(link: Link, frame: ServerFrame) {
    heardAt = Date.now();
    pingedAt = 0;
    const { id } = frame as { id?: number };
    const done = link.asked.get(id!);
    if (done) {
      link.asked.delete(id!);
      return done(frame);
    }
    const { type } = frame;
    if (type === 'users') {
      for (const { n, ...who } of frame.users) link.names.set(frame.topic + n, person(who));
    } else if (type === 'event') {
      const { topic, cursor } = frame;
      // It belongs to a former subscription, and comes again in its place: what is between would be passed over.
      if (cursor && !link.subscriptions.get(topic)?.isSettled) return;
      const last = topics.get(topic);
      if (cursor && topics.has(topic) && (!last || isBehind(cursor, last))) topics.set(topic, cursor);
      send({ ...frame, event: decode(frame.event, (n) => link.names.get(topic + n)) });
    } else if (type === 'gap') {
      topics.set(frame.topic, frame.cursor);
      send(frame);
    } else if (type === 'unsubscribed') {
      const isAll = frame.topic === '*';
      for (const topic of isAll ? [...topics.keys()] : [frame.topic]) if (link.subscriptions.has(topic)) lost(link, topic, frame);
      // Replies were dropped with the rest.
      if (isAll) {
        settle(link);
        queue.flush();
      }
    } else if (type === 'drain') {
      // In the first half of the turn, so that there is time to be live in the second.
      after('move', frame.move_after_ms + (Math.random() * (frame.move_within_ms - frame.move_after_ms)) / 2, move);
    } else if (type === 'notice') send(frame);
    else if (type === 'pong') answersPings = true;
  }

  /** Somebody looks at a page. `isNow`: do not wait to connect. `isLost`: what there is of a connection is of no use. */
  function poke(isNow?: boolean, isLost?: boolean) {
    const now = Date.now();
    const isSilent = pingedAt && answersPings && now - pingedAt > ANSWER_MS;
    if (current ? isLost || (current.isLive && isSilent) : isNow && connection.retryAt) {
      failures = 0;
      if (isNow || isSilent) connect();
      else wait();
    } else if (current?.isLive) {
      if (!pingedAt && now - heardAt > (isNow ? ANSWER_MS : QUIET_MS)) {
        pingedAt = now;
        current.line.send({ type: 'ping' });
      }
      if (current.expires && isSoon(current.expires)) renew(current);
    }
  }

  const isSoon = (expires: number) => expires * 1000 - Date.now() < RENEW_MS;

  /** Once: where clocks disagree, or tokens are short, the server says when they are over (4001). */
  async function renew(link: Link) {
    link.expires = 0;
    const credential = await credentialFor('expired').catch(() => null);
    if (credential && link === current) authenticate(link, credential);
  }

  // ── Tabs ───────────────────────────────────────────────────────────────────────────────────────

  function receive(tab: string, message: Up) {
    const reply = (frame: Extract<Down, { type: 'reply' }>['frame'] | null) => send({ type: 'reply', n: (message as { n: number }).n, frame: frame ?? OFFLINE }, tab);
    switch (message.type) {
      case 'hello': {
        if (!tabs.has(tab)) tabs.set(tab, new Set());
        tell(tab);
        queue.tellAll(tab);
        message.unsent.forEach(queue.add);
        // Those that are known, too: what the tab was told since may have come from a hub that was gone.
        for (const [topic, cursor] of message.topics) join(tab, topic, cursor);
        break;
      }
      case 'join':
        return join(tab, message.topic, message.cursor);
      case 'leave':
        return leave(tab, message.topic);
      case 'bye':
        return gone(tab);
      case 'unsent':
        // Who has not said hello yet may wait with something older, which comes with it.
        if (tabs.has(tab)) queue.add(message.unsent);
        return poke();
      case 'again':
        queue.again(message.topic, message.client_id);
        return poke(true);
      case 'connect':
        if (current || flight) return;
        failures = 0;
        return void connect();
      case 'done':
        return queue.remove(message.client_id);
      case 'ask':
        if (current?.isLive) request(current, message.frame, reply);
        else reply(null);
        return poke();
      case 'tell':
        if (current?.isLive) current.line.send(message.frame);
        return;
      case 'poke':
        send({ type: 'alive' }, tab);
        return poke(message.now, message.lost);
      case 'token':
        credentialFor(token && token === message.refused ? 'rejected' : 'start').then(
          () => reply({ type: 'token', token }),
          () => reply(null),
        );
        return;
      case 'credential':
        return answered(message.n, message);
      case 'logout':
        queue.clear();
        return end('logged_out');
    }
  }

  function gone(tab: string) {
    for (const topic of tabs.get(tab) ?? []) leave(tab, topic);
    tabs.delete(tab);
    for (const [n, [asked]] of questions) if (asked === tab) answered(n, { failed: true });
  }

  function close() {
    attempt += 1;
    drop();
  }

  send({ type: 'hub' });
  return {
    receive,
    gone,
    close() {
      isOver = true;
      close();
    },
  };
}
