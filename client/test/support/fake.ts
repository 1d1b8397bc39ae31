// A server of pregon.v1 in memory with sockets that tests hold in their hands: one log for each topic, cursors, replies.

type Frame = Record<string, any>;

export const ANA = { id: 'c29e1460-2438-4c40-a229-7c210c701b1c', username: 'ana' };
export const BETO = { id: 'a309761f-1711-4671-b12e-422be0c990ec', username: 'beto' };
export const ROOM = '0a0b9502-c454-481e-8985-e9e7f96c1dcb';
export const TOPIC = 'room:0a0b9502c454481e8985e9e7f96c1dcb';

/** A token as the client reads it: nobody checks it here. */
export const tokenOf = (user: { id: string }, number = 1): string =>
  `h.${btoa(JSON.stringify({ user_id: user.id, exp: Math.floor(Date.now() / 1000) + 3600, number }))}.s`;

export class FakeSocket {
  onopen: (() => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  readyState = 0;
  protocol = '';
  sent: Frame[] = [];
  topics = new Set<string>();
  user: typeof ANA | undefined;

  constructor(
    readonly server: FakeServer,
    readonly url: string,
    readonly protocols: string[] = [],
  ) {
    server.sockets.push(this);
    queueMicrotask(() => server.dialled(this));
  }

  open(protocol = this.protocols[0] ?? ''): void {
    this.readyState = 1;
    this.protocol = protocol;
    this.onopen?.();
  }

  send(text: string): void {
    const frame = JSON.parse(text);
    this.sent.push(frame);
    queueMicrotask(() => this.readyState === 1 && this.server.asked(this, frame));
  }

  /** From the server. */
  give(frame: Frame): void {
    if (this.readyState === 1) this.onmessage?.({ data: JSON.stringify(frame) });
  }

  /** By the server or the network. */
  end(code = 1006): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.onclose?.({ code });
  }

  close(): void {
    this.readyState = 3;
  }
}

export class FakeServer {
  sockets: FakeSocket[] = [];
  /** Committed events by topic: the first has the number 1. */
  logs = new Map<string, Frame[]>();
  /** Messages by client_id. */
  known = new Map<string, string>();
  isUp = true;
  /** What answers a request in place of the server; `undefined` leaves it to the server, `null` swallows it. */
  reply: (frame: Frame, socket: FakeSocket) => Frame | null | undefined = () => undefined;
  expires = 3600;
  epoch = 1;
  names = 7;
  /** The newest message's time. */
  at = 0;

  readonly Socket = ((server: FakeServer) =>
    class extends FakeSocket {
      constructor(url: string, protocols?: string[]) {
        super(server, url, protocols);
      }
    })(this) as unknown as new (url: string, protocols?: string[]) => WebSocket;

  get live(): FakeSocket[] {
    return this.sockets.filter((socket) => socket.readyState === 1);
  }

  dialled(socket: FakeSocket): void {
    if (socket.readyState === 3) return;
    if (this.isUp) socket.open();
    else socket.end(1006);
  }

  cursor(topic: string): string {
    return `${this.epoch}.${this.logs.get(topic)?.length ?? 0}`;
  }

  /** Something happens: everybody who listens hears of it. */
  commit(topic: string, event: Frame, user = BETO): string {
    const log = this.logs.get(topic) ?? [];
    this.logs.set(topic, log);
    log.push({ event, user });
    const cursor = this.cursor(topic);
    for (const socket of this.live) if (socket.topics.has(topic)) this.tell(socket, topic, log.length);
    return cursor;
  }

  tell(socket: FakeSocket, topic: string, number: number): void {
    const { event, user } = this.logs.get(topic)![number - 1]!;
    socket.give({ type: 'users', topic, users: [{ n: this.names, ...user, display_name: user.username.toUpperCase() }] });
    socket.give({ type: 'event', topic, cursor: `${this.epoch}.${number}`, event: { user: this.names, ...event } });
  }

  say(content: string, { id = crypto.randomUUID(), user = BETO, topic = TOPIC, client_id = undefined as string | undefined } = {}): string {
    this.at = Math.max(this.at + 1, Date.now() * 1000);
    this.commit(topic, { type: 'message', id, content, at: this.at, ...(client_id && { client_id }) }, user);
    return id;
  }

  asked(socket: FakeSocket, frame: Frame): void {
    const instead = this.reply(frame, socket);
    if (instead === null) return;
    if (instead) return socket.give({ ...instead, id: frame.id });
    const { id, topic } = frame;
    switch (frame.type) {
      case 'auth': {
        const { user_id } = JSON.parse(atob(String(frame.token ?? frame.ticket).split('.')[1]!));
        const token_expires = Math.floor(Date.now() / 1000) + this.expires;
        if (socket.user) return socket.give({ type: 'refreshed', id, token_expires });
        socket.user = user_id === ANA.id ? ANA : BETO;
        return socket.give({ type: 'welcome', id, token_expires, topics_max: 256, user: socket.user });
      }
      case 'subscribe': {
        socket.topics.add(topic);
        const length = this.logs.get(topic)?.length ?? 0;
        const [epoch, number] = String(frame.cursor ?? this.cursor(topic)).split('.').map(Number) as [number, number];
        if (topic === 'feed') return socket.give({ type: 'subscribed', id, topic, cursor: null, resumed: false });
        const isKnown = epoch === this.epoch && number <= length;
        const cursor = isKnown ? `${epoch}.${number}` : this.cursor(topic);
        socket.give({ type: 'subscribed', id, topic, cursor, resumed: !!frame.cursor && isKnown });
        if (!isKnown) return socket.give({ type: 'gap', topic, cursor, refetch: '/' });
        for (let at = number + 1; at <= length; at += 1) this.tell(socket, topic, at);
        return;
      }
      case 'unsubscribe':
        socket.topics.delete(topic);
        return socket.give({ type: 'unsubscribed', id, topic });
      case 'chat_message': {
        const repeated = this.known.get(frame.client_id);
        const message_id = repeated ?? this.say(frame.content, { user: socket.user!, topic, client_id: frame.client_id });
        this.known.set(frame.client_id, message_id);
        return socket.give({ type: 'ack', id, client_id: frame.client_id, message_id, repeated: !!repeated, durability: 'stored' });
      }
      case 'unread':
        return socket.give({ type: 'unread', id, topic, count: 0, more: false, last_read_at: 0 });
      case 'ping':
        return socket.give({ type: 'pong', id });
      default:
        if (id !== undefined) socket.give({ type: 'ack', id, repeated: false, durability: 'stored' });
    }
  }

  /** REST: lists of what was committed. */
  readonly fetch = (async (input: string) => {
    if (!this.isUp) throw new TypeError('fetch failed');
    const path = new URL(input, 'http://x').pathname;
    const answer = (body: unknown, cursor?: string) =>
      new Response(JSON.stringify(body), { headers: cursor ? { 'x-pregon-cursor': cursor } : {} });
    const room = /chats\/([^/]+)\/messages/.exec(path)?.[1];
    if (room) {
      const topic = `room:${room.replace(/-/g, '')}`;
      return answer({ results: this.messages(topic).reverse(), next: null }, this.cursor(topic));
    }
    if (path.endsWith('unread-count/')) return answer({ unread_count: 0 });
    return answer({ results: [], next: null }, this.cursor(path.includes('notifications') ? 'notifications' : 'post'));
  }) as unknown as typeof fetch;

  /** A room's messages as REST shows them, the oldest first. */
  messages(topic = TOPIC): Frame[] {
    const messages = new Map<string, Frame>();
    for (const { event, user } of this.logs.get(topic) ?? []) {
      const { type, id, content, at, message_id } = event;
      if (type === 'message') {
        const created_at = new Date(at / 1000).toISOString().replace('Z', `${String(at % 1000).padStart(3, '0')}Z`);
        messages.set(id, { id, content, sender: user, created_at, message_type: 'text', reply_to: null, read_by_count: 0, reactions: [], reaction_counts: {} });
      } else if (type === 'message_edited') Object.assign(messages.get(id) ?? {}, { content, is_edited: true });
      else if (type === 'message_deleted') messages.delete(message_id);
    }
    return [...messages.values()];
  }
}
