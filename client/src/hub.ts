// Holds the connection for all tabs: credentials, reconnects, subscriptions with their cursors, and requests.

import { decode, person } from './decode.js';
import { type Line, openV1, type Socket } from './line.js';
import type { Outbox } from './outbox.js';
import { openPlain } from './plain.js';
import type { ClientFrame, RequestId, ServerFrame } from './protocol.js';
import { createQueue } from './queue.js';
import { claims, isBehind } from './store.js';
import type { Connection, Credential, Failure, Person, TokenReason } from './types.js';
import type { Down, Up } from './wire.js';

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
  isGreeted: boolean;
  isLive: boolean;
  /** The newest request for each topic. */
  subscriptions: Map<string, RequestId>;
  /** Topics whose subscription is answered. */
  settled: Set<string>;
  names: Map<string, Map<number, Person>>;
  asked: Map<RequestId, (frame: ServerFrame | null) => void>;
  expires: number;
}

const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 20_000;
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

const OFFLINE: ServerFrame = { type: 'error', code: 'offline', text: 'There is no connection.', retry: 'later' };

/** `self` is the tab that the hub is in. */
export function createHub(
  { base, user, protocol }: HubSettings,
  Socket: Socket,
  outbox: Outbox,
  send: (message: Down, tab?: string) => void,
  self?: string,
): Hub {
  /** Topics with the place of what was heard last. */
  const topics = new Map<string, string | null>();
  const tabs = new Map<string, Set<string>>();
  const credentials = new Map<number, { tab: string; done(result: { credential?: Credential; failed?: string }): void }>();
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
  let timer: ReturnType<typeof setTimeout> | undefined;
  let handshakeTimer: ReturnType<typeof setTimeout> | undefined;
  let lingerTimer: ReturnType<typeof setTimeout> | undefined;
  let moveTimer: ReturnType<typeof setTimeout> | undefined;
  const later = new Map<string, ReturnType<typeof setTimeout>>();

  const queue = createQueue(outbox, send, (frame, done) => current?.isLive && request(current, frame, done));

  function enter(patch: Connection) {
    connection = known ? { ...patch, protocol: known } : patch;
    send({ t: 'status', connection, ...(me && { me }) });
  }

  // ── Credentials ────────────────────────────────────────────────────────────────────────────────

  /** One question at a time, whoever needs the answer. */
  function credentialFor(reason: TokenReason): Promise<Credential> {
    if (reason === 'start' && token && !(claims(token).exp! * 1000 < Date.now())) return Promise.resolve(token);
    flight ??= askTab(reason).finally(() => (flight = undefined));
    return flight.then((credential) => {
      token = typeof credential === 'string' ? credential : undefined;
      return credential;
    });
  }

  function askTab(reason: TokenReason): Promise<Credential> {
    const tab = self && tabs.has(self) ? self : [...tabs.keys()].pop();
    return new Promise((resolve, reject) => {
      if (!tab) return reject(new Error('no tab'));
      const n = ++numbers;
      credentials.set(n, {
        tab,
        done({ credential, failed }) {
          credentials.delete(n);
          if (failed === undefined) resolve(credential);
          else reject(new Error(failed));
        },
      });
      send({ t: 'credential', n, reason }, tab);
    });
  }

  // ── Connecting ─────────────────────────────────────────────────────────────────────────────────

  async function connect(reason: TokenReason = 'start') {
    clearTimeout(timer);
    drop();
    const mine = ++attempt;
    enter({ state: 'connecting' });
    try {
      const credential = await credentialFor(reason);
      if (mine !== attempt) return;
      if (!credential) return end({ code: 'logged_out', text: 'Nobody is logged in.' });
      current = open(credential);
      handshakeTimer = setTimeout(() => failed(1006), HANDSHAKE_MS);
    } catch {
      if (mine === attempt) wait();
    }
  }

  function open(credential: NonNullable<Credential>): Link {
    const isPlain = known ? known === 'plain' : misses > 1;
    let probe: Line | undefined;
    const ears = {
      opened() {
        if (!isPlain || known) return greet();
        // Older endpoints answer. So does a server of `pregon.v1` that was away before: it is asked once more.
        probe = openV1(base, Socket, {
          opened: () => {
            probe!.close();
            misses = 0;
            if (link === current) connect();
          },
          heard() {},
          closed: () => {
            known = 'plain';
            greet();
          },
        });
      },
      heard: (frame: ServerFrame) => {
        if (link === current || link === next) heard(link, frame);
      },
      closed(code: number, wasOpen: boolean) {
        if (!isPlain && !known && !wasOpen) misses += 1;
        else if (isPlain && !known) misses = 0;
        // A refused handshake does not say why: perhaps it was the token.
        if (isPlain && !wasOpen) token = undefined;
        probe?.close();
        settle(link);
        if (link === next) next = undefined;
        else if (link !== current) return;
        else if (next) promote();
        else failed(code);
      },
    };
    const line = (isPlain ? openPlain : openV1)(base, Socket, ears);
    const link: Link = {
      line,
      isGreeted: false,
      isLive: false,
      subscriptions: new Map(),
      settled: new Set(),
      names: new Map(),
      asked: new Map(),
      expires: 0,
    };
    const greet = () => {
      link.isGreeted = true;
      authenticate(link, credential);
      // What is asked for before the welcome is kept by the server.
      for (const topic of topics.keys()) subscribe(link, topic);
    };
    if (isPlain) line.send({ type: 'auth', token: typeof credential === 'string' ? credential : '' });
    return link;
  }

  function authenticate(link: Link, credential: NonNullable<Credential>) {
    const frame: ClientFrame = { type: 'auth', ...(typeof credential === 'string' ? { token: credential } : credential) };
    request(link, frame, (reply) => {
      if (reply?.type === 'welcome') welcomed(link, reply);
      else if (reply?.type === 'refreshed') link.expires = reply.token_expires;
      else if (reply?.type === 'error') refused(link, reply);
    });
  }

  function welcomed(link: Link, { user: who, token_expires }: ServerFrame & { type: 'welcome' }) {
    if (user && user !== who.id) return end({ code: 'other_user', text: 'The token is of another user.' });
    [user, me] = [who.id, who];
    link.isLive = true;
    link.expires = token_expires;
    wasRejected = false;
    known ??= link.line.protocol;
    answersPings ||= known === 'v1';
    if (link === next) return moved();
    clearTimeout(handshakeTimer);
    liveSince = Date.now();
    enter({ state: 'live' });
    queue.flush();
  }

  /** A token that is not taken is replaced once. */
  function refused(link: Link, { code, text, retry }: ServerFrame & { type: 'error' }) {
    if (link === next) {
      link.line.close();
      next = undefined;
    } else if (link.isLive) return;
    else if (retry === 'later') failed(1013);
    else if (wasRejected) end({ code, text });
    else {
      wasRejected = true;
      connect('rejected');
    }
  }

  /** The connection is over, by this close code. */
  function failed(code: number) {
    if (code === 1000 || code === 4003) return end({ code: String(code), text: 'The server has closed the connection.' });
    const wasGood = liveSince && Date.now() - liveSince > GOOD_AFTER_MS;
    if (wasGood) failures = 0;
    drop();
    if (code === 4001 && (wasGood || !wasRejected)) {
      wasRejected = !wasGood;
      return connect('expired');
    }
    wait();
  }

  /** Waits at random, so that a thousand pages do not come back in the same instant. */
  function wait() {
    drop();
    const most = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** (failures + 2));
    failures += 1;
    const delay = FIRST_DELAY_MS + Math.random() * (most - FIRST_DELAY_MS);
    timer = setTimeout(() => connect(), delay);
    const isOffline = globalThis.navigator?.onLine === false;
    enter({ state: isOffline ? 'offline' : 'waiting', retryAt: Date.now() + delay });
  }

  function end(error: Failure) {
    attempt += 1;
    drop();
    enter({ state: 'closed', error });
  }

  /** Leaves what there is of a connection. */
  function drop() {
    for (const one of [timer, handshakeTimer, moveTimer, ...later.values()]) clearTimeout(one);
    later.clear();
    liveSince = pingedAt = 0;
    const links = [current, next];
    current = next = undefined;
    for (const link of links) {
      link?.line.close();
      if (link) settle(link);
    }
  }

  /** Nothing is answered any more. */
  function settle(link: Link) {
    const waiting = [...link.asked.values()];
    link.asked.clear();
    for (const done of waiting) done(null);
  }

  // ── Moving to another connection ───────────────────────────────────────────────────────────────

  async function move() {
    try {
      const credential = await credentialFor('start');
      if (credential && current?.isLive && !next) next = open(credential);
    } catch {
      // The server closes the old one, and then it is a reconnect like any other.
    }
  }

  /** The new connection takes over once it hears all that the old one does. */
  function moved() {
    if (!next?.isLive || [...topics.keys()].some((topic) => !next!.settled.has(topic))) return;
    current?.line.close();
    if (current) settle(current);
    promote();
  }

  function promote() {
    [current, next] = [next, undefined];
    if (!current?.isLive) return enter({ state: 'connecting' });
    liveSince = Date.now();
    queue.flush();
  }

  // ── Topics ─────────────────────────────────────────────────────────────────────────────────────

  function join(tab: string, topic: string, cursor: string | null) {
    tabs.get(tab)?.add(topic);
    clearTimeout(lingerTimer);
    const isKnown = topics.has(topic);
    const heard = topics.get(topic) ?? null;
    if (!isKnown || (cursor && (!heard || isBehind(heard, cursor)))) topics.set(topic, cursor);
    if (!current) {
      if (connection.state === 'idle') connect();
    } else if (isKnown && current.settled.has(topic) && !topic.startsWith('room:') && (!cursor || cursor === heard)) {
      send({ t: 'subscribed', topic, cursor: heard }, tab);
    } else if (isKnown) {
      // Told again from the earlier place on, and who is present; tabs pass over what they have heard.
      unsubscribe(topic);
      subscribe(current, topic);
    } else subscribe(current, topic);
    if (next && !isKnown) subscribe(next, topic);
    queue.tell(topic);
  }

  function subscribe(link: Link, topic: string) {
    clearTimeout(later.get(topic));
    if (!link.isGreeted) return;
    const id = numbers + 1;
    link.subscriptions.set(topic, id);
    request(link, { type: 'subscribe', topic, cursor: topics.get(topic) ?? null }, (reply) => {
      if (link.subscriptions.get(topic) !== id || !reply) return;
      link.settled.add(topic);
      if (reply.type === 'subscribed') {
        if (!reply.resumed) topics.set(topic, reply.cursor ?? null);
        send({ t: 'subscribed', topic, cursor: reply.cursor ?? null });
      } else if (reply.type === 'error') lost(link, topic, reply);
      moved();
    });
  }

  function unsubscribe(topic: string) {
    for (const link of [current, next]) {
      if (!link?.subscriptions.delete(topic)) continue;
      link.settled.delete(topic);
      request(link, { type: 'unsubscribe', topic }, () => {});
    }
  }

  function lost(link: Link, topic: string, why: { code?: string | null; text?: string | null; retry?: string | null; retry_after_ms?: number | null }) {
    if (why.retry === 'later') {
      const again = () => {
        if (topics.has(topic) && (link === current || link === next)) subscribe(link, topic);
      };
      later.set(topic, setTimeout(again, (why.retry_after_ms ?? 2000) * (1 + Math.random())));
    } else send({ t: 'lost', topic, error: { code: why.code ?? 'lost', text: why.text ?? '' } });
  }

  function leave(tab: string, topic: string) {
    tabs.get(tab)?.delete(topic);
    if ([...tabs.values()].some((wanted) => wanted.has(topic))) return;
    topics.delete(topic);
    unsubscribe(topic);
    if (!topics.size) lingerTimer = setTimeout(rest, LINGER_MS);
  }

  function rest() {
    if (topics.size || !current?.isLive || !queue.isEmpty()) return;
    drop();
    enter({ state: 'idle' });
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
    if (frame.type === 'pong') answersPings = true;
    const id = 'id' in frame ? frame.id : undefined;
    const done = id != null && link.asked.get(id);
    if (done) {
      link.asked.delete(id);
      return done(frame);
    }
    switch (frame.type) {
      case 'users': {
        const names = link.names.get(frame.topic) ?? new Map();
        for (const { n, ...user } of frame.users) names.set(n, person(user));
        link.names.set(frame.topic, names);
        break;
      }
      case 'event': {
        const { topic } = frame;
        const cursor = frame.cursor ?? null;
        const last = topics.get(topic);
        if (cursor && topics.has(topic) && (!last || isBehind(cursor, last))) topics.set(topic, cursor);
        send({ t: 'event', topic, cursor, event: decode(frame.event, link.names.get(topic) ?? new Map()) });
        break;
      }
      case 'gap':
        topics.set(frame.topic, frame.cursor ?? null);
        send({ t: 'gap', topic: frame.topic, cursor: frame.cursor ?? null });
        break;
      case 'unsubscribed': {
        const all = frame.topic === '*' ? [...link.subscriptions.keys()] : [frame.topic];
        for (const topic of all) if (link.subscriptions.delete(topic)) lost(link, topic, frame);
        // Replies were dropped with the rest.
        if (frame.topic === '*') {
          settle(link);
          queue.flush();
        }
        break;
      }
      case 'drain':
        clearTimeout(moveTimer);
        // In the first half of the turn, so that there is time to be live in the second.
        moveTimer = setTimeout(move, frame.move_after_ms + (Math.random() * (frame.move_within_ms - frame.move_after_ms)) / 2);
        break;
      case 'notice':
        send({ t: 'notice', text: frame.text, topic: frame.topic ?? null });
        break;
      case 'error':
        // Without a request: what came with the handshake.
        if (!link.isLive) refused(link, frame);
    }
  }

  /** Somebody looks at a page. */
  function poke(isNow?: boolean, isLost?: boolean) {
    const now = Date.now();
    if (isLost && current) {
      failures = 0;
      return void (isNow ? connect() : wait());
    }
    if (connection.state === 'waiting' || connection.state === 'offline') {
      if (isNow) connect();
      return;
    }
    if (!current?.isLive) return;
    if (pingedAt) {
      if (answersPings && now - pingedAt > ANSWER_MS) {
        failures = 0;
        connect();
      }
    } else if (now - heardAt > (isNow ? ANSWER_MS : QUIET_MS)) {
      pingedAt = now;
      current.line.send({ type: 'ping' });
    }
    if (current?.isLive && current.expires * 1000 - now < RENEW_MS && current.expires) renew(current);
  }

  async function renew(link: Link) {
    // Once: where clocks disagree, the server says when a token is over.
    link.expires = 0;
    try {
      const credential = await credentialFor('expired');
      if (credential && link === current) authenticate(link, credential);
    } catch {
      // 4001 comes, and then it is tried again.
    }
  }

  // ── Tabs ───────────────────────────────────────────────────────────────────────────────────────

  function receive(tab: string, message: Up) {
    switch (message.t) {
      case 'hello': {
        const isNew = !tabs.has(tab);
        const wanted = tabs.get(tab) ?? new Set();
        tabs.set(tab, wanted);
        send({ t: 'status', connection, ...(me && { me }) }, tab);
        for (const unsent of message.unsent) queue.add(unsent);
        for (const [topic, cursor] of message.topics) if (isNew || !wanted.has(topic)) join(tab, topic, cursor);
        break;
      }
      case 'join':
        return join(tab, message.topic, message.cursor);
      case 'leave':
        return leave(tab, message.topic);
      case 'bye':
        return gone(tab);
      case 'say':
        queue.add(message.unsent);
        if (connection.state === 'idle') connect();
        return poke();
      case 'again':
        queue.again(message.topic, message.client_id);
        return poke(true);
      case 'connect':
        if (connection.state === 'live' || connection.state === 'connecting') return;
        failures = 0;
        return void connect();
      case 'drop':
        return queue.remove(message.client_id);
      case 'ask': {
        const { n, frame } = message;
        const reply = (answer: ServerFrame | null) => send({ t: 'reply', n, frame: answer ?? OFFLINE }, tab);
        if (current?.isLive) request(current, frame, reply);
        else reply(null);
        return poke();
      }
      case 'tell':
        if (current?.isLive) current.line.send(message.frame);
        return;
      case 'poke':
        send({ t: 'alive' }, tab);
        return poke(message.now, message.lost);
      case 'token': {
        const { n, refused: bad } = message;
        credentialFor(bad && bad === token ? 'rejected' : 'start').then(
          (credential) => send({ t: 'reply', n, frame: { type: 'token', token: typeof credential === 'string' ? credential : null } }, tab),
          () => send({ t: 'reply', n, frame: OFFLINE }, tab),
        );
        return;
      }
      case 'credential':
        return credentials.get(message.n)?.done(message);
      case 'logout':
        queue.clear();
        topics.clear();
        end({ code: 'logged_out', text: 'Logged out.' });
        return send({ t: 'logout' });
    }
  }

  function gone(tab: string) {
    for (const topic of tabs.get(tab) ?? []) leave(tab, topic);
    tabs.delete(tab);
    for (const asked of [...credentials.values()]) if (asked.tab === tab) asked.done({ failed: 'the tab has gone' });
  }

  function close() {
    attempt += 1;
    clearTimeout(lingerTimer);
    drop();
  }

  send({ t: 'hub' });
  return { receive, gone, close };
}
