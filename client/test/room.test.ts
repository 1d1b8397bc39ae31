// Rooms over a fake socket: what is shown, what is sent, and what a broken connection does to either.

import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Client, createClient, type Options, type Room, notifications, room as roomOf } from '../src/index.js';
import { ANA, BETO, FakeServer, ROOM, TOPIC, tokenOf } from './support/fake.js';
import { until } from './support/until.js';

const clients: Client[] = [];

function client(server: FakeServer, options: Options = {}): Client {
  const one = createClient({
    url: 'http://pregon.test',
    user: ANA.id,
    getToken: () => tokenOf(ANA),
    WebSocket: server.Socket,
    fetch: server.fetch,
    share: false,
    ...options,
  });
  clients.push(one);
  return one;
}

async function live(room: Room): Promise<Room> {
  room.subscribe(() => {});
  await until(() => room.get().status === 'live');
  return room;
}

const texts = (room: Room) => room.get().messages.map((message) => message.content);
const settled = () => new Promise((resolve) => setTimeout(resolve));
const at = (delay: number) => vi.spyOn(Math, 'random').mockReturnValue(delay);

afterEach(async () => {
  for (const one of clients.splice(0)) {
    await one.logout();
    one.close();
  }
});

describe('a room', () => {
  it('shows its history, goes live from its place, and hears what happens', async () => {
    const server = new FakeServer();
    server.say('antes');
    const room = roomOf(client(server), ROOM);
    expect(server.sockets).toHaveLength(0);
    await live(room);
    server.say('ahora');
    await settled();
    expect(texts(room)).toEqual(['antes', 'ahora']);
    const { sender } = room.get().messages[1]!;
    expect(sender).toEqual({ ...BETO, display_name: 'BETO', avatar_url: null });
    expect(server.live[0]!.sent.find((frame) => frame.type === 'subscribe')!.cursor).toBe('1.1');
    expect(server.live[0]!.url).toBe('ws://pregon.test/ws/');
    expect(server.live[0]!.protocols).toEqual(['pregon.v1']);
  });

  it('applies edits, deletions, reactions and reads, each once', async () => {
    const server = new FakeServer();
    const first = server.say('uno');
    const second = server.say('dos');
    const room = await live(roomOf(client(server), ROOM));
    server.commit(TOPIC, { type: 'message_edited', id: first, content: 'UNO', at: 1, is_edited: true });
    server.commit(TOPIC, { type: 'message_reaction', message_id: first, reaction_type: 'fire', added: true });
    server.commit(TOPIC, { type: 'message_reaction', message_id: first, reaction_type: 'fire', added: true }, ANA);
    server.commit(TOPIC, { type: 'message_read', message_ids: [first], count: 1 });
    server.commit(TOPIC, { type: 'message_read', message_ids: [first], count: 1 });
    server.commit(TOPIC, { type: 'message_deleted', message_id: second, user_id: BETO.id });
    await settled();
    const [message, ...rest] = room.get().messages;
    expect(rest).toEqual([]);
    expect(message).toMatchObject({ content: 'UNO', is_edited: true, reaction_counts: { fire: 2 }, user_reaction: 'fire', read_by_count: 1 });
    expect(room.get().readers[first]!.map((reader) => reader.username)).toEqual(['beto']);
    server.commit(TOPIC, { type: 'message_reaction', message_id: first, reaction_type: 'fire', added: false }, ANA);
    await settled();
    // As after a move, or when another tab has subscribed from an earlier place.
    server.tell(server.live[0]!, TOPIC, server.logs.get(TOPIC)!.length);
    await settled();
    expect(room.get().messages[0]).toMatchObject({ reaction_counts: { fire: 1 }, user_reaction: null });
  });

  it('tells who types and who is there', async () => {
    const server = new FakeServer();
    const room = await live(roomOf(client(server), ROOM));
    const [socket] = server.live;
    const passing = (event: object) => socket!.give({ type: 'event', topic: TOPIC, event });
    passing({ type: 'user_status', user_id: BETO.id, username: 'beto', status: 'online' });
    passing({ type: 'typing_status', user_id: BETO.id, username: 'beto', is_typing: true });
    await settled();
    expect(room.get().presence).toEqual({ users: [BETO], count: 1 });
    expect(room.get().typing).toEqual([BETO]);
    server.say('hola');
    await settled();
    expect(room.get().typing).toEqual([]);
    passing({ type: 'user_status', user_id: BETO.id, username: 'beto', status: 'offline' });
    await settled();
    expect(room.get().presence.count).toBe(0);
    passing({ type: 'presence_count', present: 412 });
    await settled();
    expect(room.get().presence.count).toBe(412);
    room.setTyping(true);
    room.setTyping(true);
    room.setTyping(false);
    await until(() => socket!.sent.filter((frame) => frame.type === 'typing').length === 2);
    expect(socket!.sent.filter((frame) => frame.type === 'typing').map((frame) => frame.is_typing)).toEqual([true, false]);
  });

  it('is the same object for the same room, in either spelling, and connects once', async () => {
    const server = new FakeServer();
    const one = client(server);
    const room = await live(roomOf(one, ROOM));
    expect(roomOf(one, ROOM.replace(/-/g, '').toUpperCase())).toBe(room);
    const leave = room.subscribe(() => {});
    leave();
    expect(server.sockets).toHaveLength(1);
  });

  it('goes live from the place of a list that a server has read', async () => {
    const server = new FakeServer();
    server.say('leído');
    const page = { results: server.messages(), cursor: server.cursor(TOPIC) };
    server.say('entretanto');
    const fetched = vi.fn(server.fetch);
    const room = roomOf(client(server, { fetch: fetched as typeof fetch }), ROOM, page);
    expect(room.start.messages.map((message) => message.content)).toEqual(['leído']);
    await live(room);
    await until(() => texts(room).length === 2);
    expect(texts(room)).toEqual(['leído', 'entretanto']);
    expect(fetched).not.toHaveBeenCalled();
  });

  it('reads a list without a place again once it is subscribed', async () => {
    const server = new FakeServer();
    let reads = 0;
    const fetch = (async (input: string) => {
      reads += 1;
      if (reads === 1) setTimeout(() => server.say('en medio'));
      const answer = await server.fetch(input);
      return new Response(await answer.text());
    }) as typeof globalThis.fetch;
    const room = roomOf(client(server, { fetch }), ROOM);
    await live(room);
    await until(() => texts(room).length === 1);
    expect(texts(room)).toEqual(['en medio']);
    expect(reads).toBe(2);
  });
});

describe('a broken connection', () => {
  it('resumes by cursor: nothing is missed, nothing comes twice', async () => {
    const server = new FakeServer();
    const room = await live(roomOf(client(server), ROOM));
    server.say('uno');
    at(0);
    server.live[0]!.end(1012);
    await settled();
    expect(room.get().status).toBe('waiting');
    server.say('dos');
    server.say('tres');
    await until(() => room.get().status === 'live' && texts(room).length === 3);
    expect(texts(room)).toEqual(['uno', 'dos', 'tres']);
    expect(server.live[0]!.sent.find((frame) => frame.type === 'subscribe')!.cursor).toBe('1.1');
  });

  it('reads the list again after a gap', async () => {
    const server = new FakeServer();
    const room = await live(roomOf(client(server), ROOM));
    server.say('uno');
    at(0);
    server.live[0]!.end();
    server.epoch = 2;
    server.logs.clear();
    server.say('otra historia');
    await until(() => room.get().status === 'live' && !room.get().gap && texts(room)[0] === 'otra historia');
    expect(texts(room)).toEqual(['otra historia']);
    server.say('sigue');
    await settled();
    expect(texts(room)).toEqual(['otra historia', 'sigue']);
  });

  it('waits at random between half a second and twenty', async () => {
    const server = new FakeServer();
    const one = client(server);
    const room = await live(roomOf(one, ROOM));
    server.isUp = false;
    at(0.999);
    const before = Date.now();
    server.live[0]!.end();
    await settled();
    expect(one.connection.get().retryAt! - before).toBeGreaterThan(1_900);
    server.isUp = true;
    one.retry();
    await until(() => room.get().status === 'live');
    server.live[0]!.end(4029);
    await until(() => room.get().status === 'waiting');
    expect(one.connection.get().retryAt! - Date.now()).toBeGreaterThan(30_000);
    server.isUp = false;
    for (let tries = 0; tries < 6; tries += 1) {
      const { length } = server.sockets;
      vi.spyOn(Math, 'random').mockReturnValue(tries / 10);
      one.retry();
      await until(() => server.sockets.length > length && one.connection.get().state === 'waiting');
    }
    expect(room.get().status).toBe('waiting');
  });

  it('ends by 1000 and 4003, and begins again when it is told to', async () => {
    for (const code of [1000, 4003]) {
      const server = new FakeServer();
      const one = client(server);
      await live(roomOf(one, ROOM));
      server.live[0]!.end(code);
    await settled();
      expect(one.connection.get()).toMatchObject({ state: 'closed', error: { code: String(code) } });
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(server.live).toHaveLength(0);
      one.retry();
      await until(() => one.connection.get().state === 'live');
    }
  });

  it('by 4001 brings a new token at once', async () => {
    const server = new FakeServer();
    const asked: string[] = [];
    const one = client(server, {
      getToken: ({ reason }) => {
        asked.push(reason);
        return tokenOf(ANA, asked.length);
      },
    });
    const room = await live(roomOf(one, ROOM));
    const [old] = server.live;
    old!.end(4001);
    await until(() => server.sockets.length === 2 && room.get().status === 'live');
    expect(asked).toEqual(['start', 'expired']);
    const token = (socket: (typeof server.sockets)[0]) => socket.sent.find((frame) => frame.type === 'auth')!.token;
    expect(token(server.live[0]!)).not.toBe(token(old!));
  });

  it('by a token that is refused twice is over, and says why', async () => {
    const server = new FakeServer();
    server.reply = (frame) => (frame.type === 'auth' ? { type: 'error', code: 'bad_token', text: 'Token inválido', retry: 'fix' } : undefined);
    const one = client(server);
    roomOf(one, ROOM).subscribe(() => {});
    await until(() => one.connection.get().state === 'closed');
    expect(one.connection.get().error).toEqual({ code: 'bad_token', text: 'Token inválido' });
    expect(server.sockets).toHaveLength(2);
  });

  it('of another user is over: nothing is sent for somebody else', async () => {
    const server = new FakeServer();
    const one = client(server, { getToken: () => tokenOf(BETO) });
    const room = roomOf(one, ROOM);
    room.subscribe(() => {});
    room.send('de ana');
    await until(() => one.connection.get().state === 'closed');
    expect(one.connection.get().error!.code).toBe('other_user');
    expect(server.sockets.flatMap((socket) => socket.sent).some((frame) => frame.type === 'chat_message')).toBe(false);
  });

  it('is moved when the server asks for it: the old one stays until the new one is live', async () => {
    const server = new FakeServer();
    const room = await live(roomOf(client(server), ROOM));
    server.say('uno');
    at(0);
    const heard: string[] = [];
    room.onEvent((event) => heard.push(event.message.content));
    const [old] = server.live;
    old!.give({ type: 'drain', move_after_ms: 5, move_within_ms: 50 });
    await until(() => server.sockets.length === 2);
    server.say('dos');
    await until(() => old!.readyState === 3);
    server.say('tres');
    await settled();
    expect(texts(room)).toEqual(['uno', 'dos', 'tres']);
    // Both told it.
    expect(heard).toEqual(['uno', 'dos', 'tres']);
    expect(room.get().status).toBe('live');
    expect(server.live).toHaveLength(1);
  });

  it('loses its topics when it is slow, and subscribes again with their cursors', async () => {
    const server = new FakeServer();
    const room = await live(roomOf(client(server), ROOM));
    server.say('uno');
    const [socket] = server.live;
    socket!.topics.clear();
    at(0);
    socket!.give({ type: 'unsubscribed', topic: '*', code: 'slow', retry: 'later', retry_after_ms: 1, text: '' });
    server.say('dos');
    await until(() => texts(room).length === 2);
    expect(server.sockets).toHaveLength(1);
  });

  it('loses a room for good when the user is removed, and keeps the others', async () => {
    const server = new FakeServer();
    const one = client(server);
    const room = await live(roomOf(one, ROOM));
    const other = await live(roomOf(one, BETO.id));
    server.live[0]!.give({ type: 'unsubscribed', topic: TOPIC, code: 'removed', retry: 'never', text: 'Ya no' });
    await settled();
    expect(room.get()).toMatchObject({ status: 'lost', error: { code: 'removed', text: 'Ya no' } });
    expect(other.get().status).toBe('live');
  });
});

describe('a message', () => {
  it('that was given up, or whose user has logged out, before there was a hub is not said by the next one', async () => {
    for (const ends of ['remove', 'logout']) {
      const server = new FakeServer();
      let grant: (() => void) | undefined;
      // The lock comes when the test says so: until then nobody leads.
      const request = (name: string, ...rest: any[]) =>
        new Promise((resolve) => {
          const got = () => resolve(rest.at(-1)());
          if (name.endsWith(ANA.id)) grant = got;
          else queueMicrotask(got);
        });
      vi.stubGlobal('navigator', { onLine: true, locks: { request } });
      const one = client(server, { share: true, url: `http://${ends}.test` });
      const room = roomOf(one, ROOM);
      room.subscribe(() => {});
      const name = room.send('mejor no');
      await until(() => grant && server.logs.size === 0);
      expect(texts(room)).toEqual(['mejor no']);
      if (ends === 'remove') await room.remove(name);
      else await one.logout();
      room.send('esto sí');
      expect(texts(room)).toEqual(['esto sí']);
      grant!();
      await until(() => server.known.size);
      await settled();
      expect(server.messages().map(({ content }) => content)).toEqual(['esto sí']);
      one.close();
      vi.unstubAllGlobals();
    }
  });

  it('is shown at once, sent, stored, and shown once', async () => {
    const server = new FakeServer();
    const room = await live(roomOf(client(server), ROOM));
    const seen: string[][] = [];
    room.subscribe(() => seen.push(room.get().messages.map((message) => message.state)));
    const name = room.send('hola');
    expect(room.get().messages).toMatchObject([{ id: name, client_id: name, content: 'hola', state: 'sending', sender: { id: ANA.id } }]);
    await until(() => room.get().messages[0]!.state === 'sent');
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(texts(room)).toEqual(['hola']);
    expect(seen.every((states) => states.length <= 1)).toBe(true);
    expect(room.get().messages[0]!.id).toBe(server.known.get(name));
  });

  it('goes out in order, one under way per room, each once whatever happens', async () => {
    const server = new FakeServer();
    const room = await live(roomOf(client(server), ROOM));
    at(0);
    let swallowed = 0;
    server.reply = (frame, socket) => {
      if (frame.type !== 'chat_message' || swallowed++) return undefined;
      // Stored, but nobody hears of it.
      server.known.set(frame.client_id, server.say(frame.content, { user: ANA, client_id: frame.client_id }));
      socket.end();
      return null;
    };
    const names = ['uno', 'dos', 'tres', 'cuatro'].map((text) => room.send(text));
    await until(() => names.every((name) => server.known.has(name)) && room.get().messages.every((message) => message.state === 'sent'));
    expect(server.messages().map((message) => message.content)).toEqual(['uno', 'dos', 'tres', 'cuatro']);
    await until(() => texts(room).length === 4);
    expect(texts(room)).toEqual(['uno', 'dos', 'tres', 'cuatro']);
    const first = server.sockets[0]!.sent.filter((frame) => frame.type === 'chat_message');
    expect(first).toHaveLength(1);
  });

  it('waits without a connection and is sent with the next one', async () => {
    const server = new FakeServer();
    const room = await live(roomOf(client(server), ROOM));
    server.isUp = false;
    at(0);
    server.live[0]!.end();
    await settled();
    room.send('después');
    expect(room.get().messages.at(-1)!.state).toBe('sending');
    expect(room.get().status).toBe('waiting');
    server.isUp = true;
    await until(() => server.messages().length === 1 && room.get().messages[0]?.state === 'sent');
    expect(texts(room)).toEqual(['después']);
  });

  it('fails with the reason, and is sent again or given up when the user wants it', async () => {
    const server = new FakeServer();
    const room = await live(roomOf(client(server), ROOM));
    server.reply = (frame) =>
      frame.type === 'chat_message' && frame.content === 'malo' ? { type: 'error', code: 'characters', text: 'No', retry: 'fix' } : undefined;
    const bad = room.send('malo');
    const other = room.send('malo');
    room.send('bueno');
    await until(() => server.messages().length === 1);
    await until(() => room.get().messages.filter((message) => message.state === 'failed').length === 2);
    expect(room.get().messages.find((message) => message.id === bad)).toMatchObject({ state: 'failed', error: { code: 'characters', text: 'No' } });
    server.reply = () => undefined;
    room.retry(bad);
    await until(() => server.messages().length === 2);
    await room.remove(other);
    await until(() => room.get().messages.every((message) => message.state === 'sent'));
    expect(texts(room)).toEqual(['bueno', 'malo']);
  });

  it('is tried again when the server is busy', async () => {
    const server = new FakeServer();
    const room = await live(roomOf(client(server), ROOM));
    let busy = 2;
    server.reply = (frame) =>
      frame.type === 'chat_message' && busy-- > 0 ? { type: 'error', code: 'busy', text: '', retry: 'later', retry_after_ms: 5 } : undefined;
    room.send('paciencia');
    room.send('mucha');
    await until(() => server.messages().length === 2);
    expect(server.messages().map((message) => message.content)).toEqual(['paciencia', 'mucha']);
  });

  it('outlives the page, by user and server, and is forgotten at a logout', async () => {
    const server = new FakeServer();
    const first = client(server, { getToken: () => Promise.reject(new Error('no network')) });
    const room = roomOf(first, ROOM);
    room.subscribe(() => {});
    room.send('guardado');
    await until(() => first.connection.get().state === 'waiting');
    first.close();
    // Another user, and another server, send nothing of it.
    const beto = await live(roomOf(client(server, { user: BETO.id, getToken: () => tokenOf(BETO) }), ROOM));
    const elsewhere = new FakeServer();
    await live(roomOf(client(elsewhere, { url: 'http://otro.test' }), ROOM));
    expect([beto.get().messages.length, elsewhere.messages().length]).toEqual([0, 0]);
    const again = await live(roomOf(client(server), ROOM));
    await until(() => again.get().messages[0]?.state === 'sent');
    expect(server.messages().map((message) => [message.content, message.sender.id])).toEqual([['guardado', ANA.id]]);
    server.isUp = false;
    server.live.forEach((socket) => socket.end());
    const one = clients.at(-1)!;
    again.send('olvidado');
    await until(() => again.get().messages.length === 2);
    await one.logout();
    one.close();
    server.isUp = true;
    const last = await live(roomOf(client(server), ROOM));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(texts(last)).toEqual(['guardado']);
  });

  it('is forgotten at a logout, and after the next login all goes on', async () => {
    const server = new FakeServer();
    const one = client(server);
    const room = await live(roomOf(one, ROOM));
    await one.logout();
    await until(() => room.get().status === 'closed');
    expect(room.get().error!.code).toBe('logged_out');
    server.say('entretanto');
    await one.retry();
    await until(() => room.get().status === 'live' && texts(room).length === 1);
  });

  it('that is older than a day is not sent, and says so', async () => {
    const server = new FakeServer();
    const first = client(server, { getToken: () => Promise.reject(new Error('no network')) });
    roomOf(first, ROOM).subscribe(() => {});
    const now = Date.now();
    vi.spyOn(Date, 'now').mockReturnValue(now - 25 * 3_600_000);
    const name = roomOf(first, ROOM).send('de ayer');
    await new Promise((resolve) => setTimeout(resolve, 50));
    vi.restoreAllMocks();
    first.close();
    const room = await live(roomOf(client(server), ROOM));
    const old = await until(() => room.get().messages.find((message) => message.state === 'failed'));
    expect(old).toMatchObject({ id: name, content: 'de ayer', error: { code: 'too_old' } });
    expect(server.messages()).toEqual([]);
    room.retry(name);
    await until(() => server.messages().length === 1 && room.get().messages[0]!.state === 'sent');
    expect(texts(room)).toEqual(['de ayer']);
  });

  it('is sent where storage throws', async () => {
    vi.spyOn(indexedDB, 'open').mockImplementation(() => {
      throw new Error('private');
    });
    const server = new FakeServer();
    const room = await live(roomOf(client(server), ROOM));
    room.send('igual');
    await until(() => server.messages().length === 1);
  });
});

describe('a token', () => {
  it('is renewed in-band shortly before its end while somebody looks', async () => {
    const server = new FakeServer();
    server.expires = 30;
    const asked: string[] = [];
    const one = client(server, { getToken: ({ reason }) => (asked.push(reason), tokenOf(ANA, asked.length)) });
    const room = await live(roomOf(one, ROOM));
    // Sending asks after the connection, as a visible page does every few seconds.
    room.send('hola');
    await until(() => server.live[0]!.sent.filter((frame) => frame.type === 'auth').length === 2);
    expect(asked).toEqual(['start', 'expired']);
    expect(server.sockets).toHaveLength(1);
  });

  it('may be a ticket, and never stands in an address', async () => {
    const server = new FakeServer();
    const ticket = tokenOf(ANA);
    const one = client(server, { getToken: () => ({ ticket }) });
    await live(roomOf(one, ROOM));
    expect(server.sockets[0]!.sent[0]).toEqual({ type: 'auth', ticket, id: expect.any(Number) });
    expect(server.sockets[0]!.url).not.toContain('?');
  });

  it('that REST refuses is renewed once, for all who wait', async () => {
    const server = new FakeServer();
    let number = 0;
    const bearers: string[] = [];
    const fetch = (async (input: string, init: RequestInit) => {
      const bearer = (init.headers as Record<string, string>).authorization!;
      bearers.push(bearer);
      return bearer.includes(tokenOf(ANA, 1)) ? new Response('{}', { status: 401 }) : server.fetch(input);
    }) as typeof globalThis.fetch;
    const one = client(server, { fetch, getToken: () => tokenOf(ANA, ++number) });
    await Promise.all([live(roomOf(one, ROOM)), live(notifications(one) as never)]);
    expect(number).toBe(2);
    expect(new Set(bearers).size).toBe(2);
  });
});
