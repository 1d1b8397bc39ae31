// The golden frames of docs/protocol: every event of the server is understood, and what the client sends is what is documented.

import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { decode, person } from '../src/decode.js';
import { createClient, feed as feedOf, notifications, post as postOf, room as roomOf } from '../src/index.js';
import type { ClientFrame, ServerFrame } from '../src/protocol.js';
import { ANA, FakeServer, ROOM, TOPIC, tokenOf } from './support/fake.js';
import { until } from './support/until.js';

const golden = <T>(side: string): T[] =>
  readFileSync(new URL(`../../docs/protocol/pregon.v1.${side}.jsonl`, import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

const frames = golden<ServerFrame>('server');
const events = frames.filter((frame) => frame.type === 'event');
const names = new Map(
  frames.flatMap((frame) => (frame.type === 'users' ? frame.users : [])).map(({ n, ...user }) => [n, person(user)]),
);
const decoded = (type: string) => decode(events.find((frame) => frame.event.type === type)!.event, (n) => names.get(n));

describe('golden frames of the server', () => {
  it('name users by number, with what REST calls their picture', () => {
    expect(names.get(12)).toEqual({
      id: ANA.id,
      username: 'ana',
      display_name: 'Ana Pérez',
      avatar_url: 'http://127.0.0.1:8000/media/avatars/ana.png',
    });
    expect(names.get(13)).toMatchObject({ username: 'beto', display_name: 'beto', avatar_url: null });
  });

  it('become messages as REST shows them', () => {
    expect(decoded('message').message).toMatchObject({
      id: '7d17fe03-94d3-4a71-9dbe-0dbb933c1946',
      content: 'hola',
      message_type: 'text',
      created_at: '2026-02-01T10:30:00.000000Z',
      sender: { username: 'ana' },
      reply_to: null,
      reaction_counts: {},
      state: 'sent',
    });
    const { client_id, message } = decoded('message_edited');
    expect(client_id).toBe('c-1');
    expect(message).toMatchObject({
      message_type: 'image',
      image: 'http://127.0.0.1:8000/media/chat/a.png',
      file_size: 9,
      is_edited: true,
      reply_to: { content: '¿qué tal?', sender: { username: 'beto' } },
    });
  });

  it('say who reads and reacts', () => {
    expect(decoded('message_read').user.username).toBe('ana');
    expect(decoded('message_reaction')).toMatchObject({ user: { username: 'ana' }, reaction_type: 'fire', added: true });
  });

  it('are all taken by a live client, whatever they are', async () => {
    const server = new FakeServer();
    const client = createClient({
      url: 'http://pregon.test',
      user: ANA.id,
      getToken: () => tokenOf(ANA),
      WebSocket: server.Socket,
      fetch: server.fetch,
      share: false,
    });
    const stores = [roomOf(client, ROOM), postOf(client, ROOM), feedOf(client), notifications(client)];
    for (const store of stores) store.subscribe(() => {});
    await until(() => stores.every((store) => store.get().status === 'live'));
    // These end topics or the connection, which other tests look at.
    const passed = frames.filter((frame) => !['welcome', 'unsubscribed', 'drain', 'error', 'gap'].includes(frame.type));
    for (const frame of passed) server.live[0]!.give(frame);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(client.connection.get().state).toBe('live');
    expect(client.toasts.get().list.map((toast) => toast.text)).toEqual(['Volvemos en cinco minutos', 'Hablen de fútbol']);
    expect(roomOf(client, ROOM).get().presence.count).toBe(412);
    client.close();
  });
});

describe('golden frames of the client', () => {
  it('have the fields of those that this client sends', async () => {
    const server = new FakeServer();
    const client = createClient({
      url: 'http://pregon.test',
      user: ANA.id,
      getToken: () => tokenOf(ANA),
      WebSocket: server.Socket,
      fetch: server.fetch,
      share: false,
    });
    const room = roomOf(client, ROOM);
    const id = server.say('de otro');
    const leave = room.subscribe(() => {});
    await until(() => room.get().status === 'live');
    server.commit(TOPIC, { type: 'message', id: crypto.randomUUID(), content: 'nuevo', at: (server.at += 1) });
    room.send('hola', { replyTo: id });
    await Promise.all([room.edit(id, 'x'), room.react(id, 'fire'), room.remove(id)]);
    room.setTyping(true);
    await until(() => room.get().unread === 1);
    room.markRead();
    leave();
    const sent = await until(() => {
      const all = server.live[0]?.sent ?? [];
      return ['unsubscribe', 'chat_message'].every((type) => all.some((frame) => frame.type === type)) && all;
    });
    const keys = new Map<string, string[]>();
    for (const frame of golden<ClientFrame>('client')) keys.set(frame.type, [...(keys.get(frame.type) ?? ['id']), ...Object.keys(frame)]);
    const kinds = new Set(sent.map((frame) => frame.type));
    expect([...kinds].sort()).toEqual([
      'auth', 'chat_message', 'delete_message', 'edit_message', 'react_message', 'read_message', 'subscribe', 'typing', 'unread', 'unsubscribe',
    ]);
    for (const frame of sent) {
      expect(keys.get(frame.type), frame.type).toEqual(expect.arrayContaining(Object.keys(frame)));
    }
    client.close();
  });
});
