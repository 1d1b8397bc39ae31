// The older endpoints: found by themselves, a socket for each topic, messages by REST, lists read again after each connection.

import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Client, createClient, type Options, notifications, room as roomOf } from '../src/index.js';
import { ANA, BETO, FakeServer, type FakeSocket, ROOM, tokenOf } from './support/fake.js';
import { until } from './support/until.js';

/** A server as Django is: `/ws/` answers nothing, lists name no place, and no `client_id` is known. */
class OldServer extends FakeServer {
  posted: any[] = [];
  refuses: (path: string) => { code?: number; error?: string } | undefined = () => undefined;

  override dialled(socket: FakeSocket): void {
    const { pathname, searchParams } = new URL(socket.url);
    if (socket.readyState === 3) return;
    if (!this.isUp || pathname === '/ws/' || !searchParams.get('token')) return socket.end(1006);
    const refused = this.refuses(pathname);
    if (refused?.code) return socket.end(refused.code);
    socket.open('');
    if (refused?.error) {
      socket.give({ type: 'error', message: refused.error });
      return socket.end(1000);
    }
    if (pathname.startsWith('/ws/chat/')) socket.give({ type: 'connection_success', message: '' });
    else if (!pathname.startsWith('/ws/post/')) socket.give({ type: 'connection_established', message: '' });
  }

  override asked(socket: FakeSocket, frame: any): void {
    if (frame.type === 'typing') for (const other of this.on('/ws/chat/')) if (other !== socket) other.give({ type: 'typing_status' });
  }

  on(path: string): FakeSocket[] {
    return this.live.filter((socket) => new URL(socket.url).pathname.startsWith(path));
  }

  rows: any[] = [];

  row(content: string, sender = BETO): any {
    const created_at = `2026-11-21T18:02:35.9${String(this.rows.length).padStart(5, '0')}`;
    const message = { id: crypto.randomUUID(), content, sender, created_at, message_type: 'text', reactions: [] };
    this.rows.push(message);
    return message;
  }

  readonly rest = (async (input: string, init: RequestInit = {}) => {
    if (!this.isUp) throw new TypeError('fetch failed');
    const { pathname } = new URL(input);
    if (pathname.endsWith('send_message/')) {
      const body = JSON.parse(String(init.body));
      this.posted.push(body);
      return new Response(JSON.stringify(this.row(body.content, ANA)), { status: 201 });
    }
    if (pathname.endsWith('messages/')) return new Response(JSON.stringify({ results: [...this.rows].reverse(), next: null }));
    return new Response(JSON.stringify({ results: [], next: null, unread_count: 3 }));
  }) as unknown as typeof fetch;
}

const clients: Client[] = [];

function client(server: OldServer, options: Options = {}): Client {
  vi.stubGlobal('fetch', server.rest);
  const one = createClient({
    url: 'http://django.test',
    user: ANA.id,
    getToken: () => tokenOf(ANA),
    WebSocket: server.Socket,
    share: false,
    ...options,
  });
  clients.push(one);
  return one;
}

afterEach(() => {
  for (const one of clients.splice(0)) one.close();
  vi.unstubAllGlobals();
});

describe('the older endpoints', () => {
  it('are found where there is nothing else, and only there', async () => {
    const server = new OldServer();
    vi.spyOn(Math, 'random').mockReturnValue(0);
    const one = client(server);
    const room = roomOf(one, ROOM);
    room.subscribe(() => {});
    await until(() => room.get().status === 'live');
    expect(one.connection.get().protocol).toBe('plain');
    expect(server.live.map((socket) => new URL(socket.url).pathname)).toEqual(['/ws/notifications/', `/ws/chat/${ROOM}/`]);
    // Known from now on.
    const { length } = server.sockets;
    server.on('/ws/notifications/')[0]!.end(1012);
    await until(() => server.sockets.length > length && room.get().status === 'live');
    expect(server.sockets.slice(length).some((socket) => new URL(socket.url).pathname === '/ws/')).toBe(false);
  });

  it('are not used with a server of pregon.v1 that was away for a moment', async () => {
    const server = new FakeServer();
    server.isUp = false;
    vi.spyOn(Math, 'random').mockReturnValue(0);
    const one = createClient({
      url: 'http://pregon.test', user: ANA.id, getToken: () => tokenOf(ANA), WebSocket: server.Socket, fetch: server.fetch, share: false,
    });
    clients.push(one);
    const room = roomOf(one, ROOM);
    room.subscribe(() => {});
    await until(() => server.sockets.length === 2);
    server.isUp = true;
    await until(() => room.get().status === 'live');
    expect(one.connection.get().protocol).toBe('v1');
    expect(server.live.map((socket) => socket.url)).toEqual(['ws://pregon.test/ws/']);
  });

  it('tell rooms, and what was missed is read again', async () => {
    const server = new OldServer();
    server.row('antes');
    const one = client(server, { protocol: 'plain' });
    const room = roomOf(one, ROOM);
    room.subscribe(() => {});
    await until(() => room.get().status === 'live' && room.get().unread === 3);
    const texts = () => room.get().messages.map((message) => message.content);
    const [chat] = server.on('/ws/chat/');
    const message = server.row('ahora');
    chat!.give({ type: 'chat_message', message });
    await until(() => texts().length === 2);
    chat!.give({ type: 'message_reaction', message_id: message.id, user_id: BETO.id, username: 'beto', reaction_type: 'like', added: true });
    chat!.give({ type: 'message_read', message_id: message.id, user_id: BETO.id, username: 'beto' });
    await until(() => room.get().messages[1]!.read_by_count === 1);
    expect(room.get().messages[1]).toMatchObject({ reaction_counts: { like: 1 }, state: 'sent' });
    vi.spyOn(Math, 'random').mockReturnValue(0);
    chat!.end(1006);
    server.row('entretanto');
    await until(() => texts().length === 3);
    expect(texts()).toEqual(['antes', 'ahora', 'entretanto']);
  });

  it('send by REST, show once, and follow with what the server tells', async () => {
    const server = new OldServer();
    const one = client(server, { protocol: 'plain' });
    const room = roomOf(one, ROOM);
    room.subscribe(() => {});
    room.send('uno');
    room.send('dos');
    await until(() => server.rows.length === 2 && room.get().messages.length === 2 && room.get().messages.every((message) => message.state === 'sent'));
    for (const message of server.rows) server.on('/ws/chat/')[0]!.give({ type: 'chat_message', message });
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(room.get().messages.map((message) => message.content)).toEqual(['uno', 'dos']);
    expect(server.posted[0]).toMatchObject({ content: 'uno', message_type: 'text', client_id: expect.any(String) });
  });

  it('refuse a room without taking the others down', async () => {
    const server = new OldServer();
    server.refuses = (path) => (path.includes(ROOM) ? { error: 'No eres participante de este chat' } : undefined);
    const one = client(server, { protocol: 'plain' });
    const [room, other] = [roomOf(one, ROOM), roomOf(one, BETO.id)];
    for (const each of [room, other]) each.subscribe(() => {});
    await until(() => room.get().status === 'lost' && other.get().status === 'live');
    expect(room.get().error!.text).toBe('No eres participante de este chat');
  });

  it('ask for a new token when the old one is not taken', async () => {
    const server = new OldServer();
    vi.spyOn(Math, 'random').mockReturnValue(0);
    let isRefused = true;
    server.refuses = () => (isRefused ? { code: 1006 } : undefined);
    let asked = 0;
    const one = client(server, {
      protocol: 'plain',
      getToken: () => {
        isRefused = asked++ === 0;
        return tokenOf(ANA, asked);
      },
    });
    notifications(one).subscribe(() => {});
    await until(() => one.connection.get().state === 'live');
    expect(asked).toBe(2);
  });
});
