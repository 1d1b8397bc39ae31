// The least server of pregon.v1 that stores messages: topics with cursors and their replay, and each client_id once. It lives in a
// simulated world, where frames take their time and connections break.

import { ANA, BETO } from './fake.js';
import type { Tab, World } from './world.js';

type Frame = Record<string, any>;

interface Stored {
  id: string;
  content: string;
  at: number;
  user: typeof ANA;
  client_id?: string | undefined;
}

let sockets = 0;

/** Both ends of a connection. */
class Socket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readyState = 0;
  protocol = '';
  readonly topics = new Set<string>();
  readonly tab: Tab;
  isWelcome = false;
  /** At the server's end. */
  isOpen = false;
  /** Nothing comes through any more, and nobody was told. */
  isDead = false;
  private readonly name = ++sockets;

  constructor(readonly model: Model) {
    this.tab = model.world.running;
    model.world.pipe(`up ${this.name}`, undefined, () => {
      if (!model.isUp) return this.end(1006);
      this.isOpen = true;
      model.sockets.add(this);
      this.down(() => {
        this.readyState = 1;
        this.protocol = 'pregon.v1';
        this.onopen?.();
      });
    });
  }

  send(text: string): void {
    this.model.world.pipe(`up ${this.name}`, undefined, () => this.isOpen && !this.isDead && this.model.asked(this, JSON.parse(text)));
  }

  close(): void {
    this.readyState = 3;
    this.model.world.pipe(`up ${this.name}`, undefined, () => this.over());
  }

  give(frame: Frame): void {
    const data = JSON.stringify(frame);
    if (this.isOpen && !this.isDead) this.down(() => this.readyState === 1 && this.onmessage?.({ data }));
  }

  over(): void {
    this.isOpen = false;
    this.model.sockets.delete(this);
  }

  /** By the server, or by the network. */
  end(code: number): void {
    this.over();
    this.down(() => {
      if (this.readyState === 3) return;
      this.readyState = 3;
      this.onclose?.({ code });
    });
  }

  private down(run: () => unknown): void {
    this.model.world.pipe(`down ${this.name}`, this.tab, run);
  }
}

export class Model {
  isUp = true;
  readonly sockets = new Set<Socket>();
  private readonly rooms = new Map<string, Stored[]>();
  /** A message has the place after this many. Those before it were not kept for replay when the epoch began. */
  private epoch = 1;
  private readonly since = new Map<string, number>();
  private at = 0;

  constructor(readonly world: World) {}

  readonly Socket = ((model: Model) =>
    class extends Socket {
      constructor() {
        super(model);
      }
    })(this) as unknown as new (url: string, protocols?: string[]) => WebSocket;

  stored(topic: string): Stored[] {
    const known = this.rooms.get(topic) ?? [];
    this.rooms.set(topic, known);
    return known;
  }

  private first = (topic: string) => this.since.get(topic) ?? 0;

  private cursor(topic: string, number = this.stored(topic).length): string {
    return `${this.epoch}.${number - this.first(topic)}`;
  }

  say(topic: string, content: string, user = BETO, client_id?: string): Stored {
    this.at = Math.max(this.at + 1, this.world.now * 1000);
    const message = { id: `m${this.at}`, content, at: this.at, user, client_id };
    const all = this.stored(topic);
    all.push(message);
    for (const socket of this.sockets) if (socket.topics.has(topic)) this.tell(socket, topic, all.length);
    return message;
  }

  private tell(socket: Socket, topic: string, number: number): void {
    const { user, ...message } = this.stored(topic)[number - 1]!;
    const n = user === ANA ? 1 : 2;
    socket.give({ type: 'users', topic, users: [{ n, ...user }] });
    socket.give({ type: 'event', topic, cursor: this.cursor(topic, number), event: { type: 'message', ...message, user: n } });
  }

  asked(socket: Socket, frame: Frame): void {
    const { id, topic, type } = frame;
    const all = topic && this.stored(topic);
    if (type === 'auth') {
      const token_expires = Math.floor(this.world.now / 1000) + 36_000;
      socket.give(socket.isWelcome ? { type: 'refreshed', id, token_expires } : { type: 'welcome', id, token_expires, topics_max: 256, user: ANA });
      socket.isWelcome = true;
    } else if (type === 'subscribe') {
      const [epoch, place] = String(frame.cursor ?? this.cursor(topic)).split('.').map(Number) as [number, number];
      const isKnown = epoch === this.epoch && place <= all.length - this.first(topic);
      const cursor = isKnown ? `${epoch}.${place}` : this.cursor(topic);
      socket.topics.add(topic);
      socket.give({ type: 'subscribed', id, topic, cursor, resumed: !!frame.cursor && isKnown });
      if (!isKnown) return socket.give({ type: 'gap', topic, cursor, refetch: '' });
      for (let number = this.first(topic) + place + 1; number <= all.length; number += 1) this.tell(socket, topic, number);
    } else if (type === 'unsubscribe') {
      socket.topics.delete(topic);
      socket.give({ type: 'unsubscribed', id, topic });
    } else if (type === 'chat_message') {
      const { client_id, content } = frame;
      if (this.world.chance(0.05)) return socket.give({ type: 'error', id, topic, code: 'too_fast', text: '', retry: 'later', retry_after_ms: 300 });
      const known = all.find((one: Stored) => one.client_id === client_id);
      const { id: message_id } = known ?? this.say(topic, content, ANA, client_id);
      socket.give({ type: 'ack', id, client_id, message_id, repeated: !!known, durability: 'stored' });
    } else if (type === 'unread') socket.give({ type: 'unread', id, topic, count: 0, more: false, last_read_at: 0 });
    else if (type === 'ping') socket.give({ type: 'pong', id });
  }

  /** All connections are over. `isForgetful`: the next server cannot replay what was before. */
  stop(isForgetful: boolean): void {
    this.isUp = false;
    for (const socket of this.sockets) socket.end(this.world.pick([1006, 1012]));
    if (!isForgetful) return;
    this.epoch += 1;
    for (const [topic, { length }] of this.rooms) this.since.set(topic, length);
  }

  /** A page of a room as REST has it. */
  page(topic: string) {
    const results = this.stored(topic).map(({ id, content, at, user }) => {
      const created_at = new Date(at / 1000).toISOString().replace('Z', `${at % 1000}Z`.padStart(4, '0'));
      return { id, content, sender: user, created_at };
    });
    return { results, next: null, cursor: this.cursor(topic) };
  }

  readonly fetch = ((input: string) =>
    new Promise((resolve, reject) => {
      const { world } = this;
      const tab = world.running;
      const topic = `room:${/chats\/([^/]+)\//.exec(input)![1]!.replace(/-/g, '')}`;
      world.later(undefined, world.delay(), () => {
        const { cursor, ...page } = this.page(topic);
        const { isUp } = this;
        const answer = { status: 200, headers: { get: () => cursor }, json: async () => page };
        world.later(tab, world.delay(), () => (isUp ? resolve(answer) : reject(new TypeError('fetch failed'))));
      });
    })) as unknown as typeof fetch;
}
