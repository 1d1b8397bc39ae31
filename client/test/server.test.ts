// A real server: what is said arrives once and in order, whatever becomes of the connection, the server or the token.

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { type Client, createClient, type Options, type Room, feed as feedOf, notifications, post as postOf, room as roomOf } from '../src/index.js';
import {  } from './support/fake.js';
import { until } from './support/until.js';
import { Pregon, Proxy } from './support/pregon.js';

let server: Pregon;
const clients: Client[] = [];
const proxies: Proxy[] = [];

beforeAll(async () => {
  server = await Pregon.start({ PREGON_TOKEN_GRACE_SECONDS: '0' });
});

afterAll(() => server.end());

// The shortest delays: how they are chosen is tested elsewhere.
beforeEach(() => void vi.spyOn(Math, 'random').mockReturnValue(0));

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  for (const proxy of proxies.splice(0)) proxy.end();
});

function client(user: number, options: Options = {}): Client {
  const one = createClient({
    url: server.url,
    user: server.users[user]!.id,
    getToken: () => server.users[user]!.token,
    WebSocket: WebSocket as never,
    share: false,
    ...options,
  });
  clients.push(one);
  return one;
}

async function proxied(): Promise<Proxy> {
  const proxy = await Proxy.start(server.address);
  proxies.push(proxy);
  return proxy;
}

async function live(room: Room): Promise<Room> {
  room.subscribe(() => {});
  await until(() => room.get().status === 'live', Boolean, 10_000);
  return room;
}

const texts = (room: Room) => room.get().messages.map((message) => message.content);
const ids = (room: Room) => new Set(room.get().messages.map((message) => message.id));
const room = (one: Client, number = 0) => roomOf(one, server.rooms[number]!.id);

describe('a room of a real server', () => {
  it('has its history, hears others, and is heard by them', async () => {
    await server.say(1, 0, 'antes');
    const [ana, beto] = [await live(room(client(0))), await live(room(client(1)))];
    expect(texts(ana)).toEqual(['antes']);
    await until(() => ana.get().unread === 1);
    const name = ana.send('hola', { replyTo: ana.get().messages[0]!.id });
    await until(() => texts(beto).length === 2 && ana.get().messages[1]?.state === 'sent');
    const heard = beto.get().messages[1]!;
    expect(heard).toMatchObject({ content: 'hola', client_id: name, state: 'sent', sender: { id: server.users[0]!.id } });
    expect(heard.reply_to).toMatchObject({ content: 'antes', sender: { username: server.users[1]!.username } });
    // What an event says and what REST says are in one order.
    const again = await live(room(client(2)));
    expect(again.get().messages.map((message) => message.created_at)).toEqual(beto.get().messages.map((message) => message.created_at));
  });

  it('tells edits, reactions, reads, deletions, typing, presence and what is unread', async () => {
    const [one, two] = [client(0), client(1)];
    const [ana, beto] = [await live(room(one, 1)), await live(room(two, 1))];
    await until(() => ana.get().presence.count === 1 && beto.get().presence.count === 1);
    ana.send('uno');
    await until(() => beto.get().unread === 1);
    const id = beto.get().messages[0]!.id;
    await ana.edit(id, 'UNO');
    await beto.react(id, 'fire');
    await until(() => ana.get().messages[0]!.reaction_counts.fire === 1);
    expect(beto.get().messages[0]).toMatchObject({ content: 'UNO', is_edited: true, user_reaction: 'fire' });
    beto.markRead();
    await until(() => ana.get().messages[0]!.read_by_count === 1);
    expect(ana.get().readers[id]!.map((reader) => reader.id)).toEqual([server.users[1]!.id]);
    await ana.loadReaders(id);
    expect(ana.get().readers[id]![0]).toMatchObject({ id: server.users[1]!.id, display_name: expect.any(String) });
    expect(beto.get().unread).toBe(0);
    beto.setTyping(true);
    await until(() => ana.get().typing.length === 1);
    await until(() => ana.get().typing.length === 0);
    await expect(beto.edit(id, 'no es mío')).rejects.toMatchObject({ code: 'not_author' });
    await ana.remove(id);
    await until(() => beto.get().messages.length === 0);
    two.close();
    await until(() => ana.get().presence.count === 0, Boolean, 8_000);
  });

  it('loads what is older, page by page, in order', async () => {
    for (let number = 0; number < 45; number += 1) await server.say(1, 2, `n${number}`);
    const ana = await live(room(client(0), 2));
    expect([texts(ana).length, texts(ana).at(-1), ana.get().hasOlder]).toEqual([20, 'n44', true]);
    await Promise.all([ana.loadOlder(), ana.loadOlder()]);
    await ana.loadOlder();
    expect(texts(ana)).toEqual(Array.from({ length: 45 }, (_, number) => `n${number}`));
    expect(ana.get().hasOlder).toBe(false);
  });

  it('refuses a room that is not the user’s, and keeps the connection', async () => {
    const one = client(0);
    const other = roomOf(one, '0a0b9502-c454-481e-8985-e9e7f96c1dcb');
    other.subscribe(() => {});
    await until(() => other.get().status === 'lost');
    await live(room(one));
  });
});

describe('posts, the feed and notifications of a real server', () => {
  it('are live', async () => {
    await server.rest(0, 'POST', `/api/users/follow/${server.users[1]!.username}/`);
    const one = client(0);
    const [feed, bell] = [feedOf(one), notifications(one)];
    for (const store of [feed, bell]) store.subscribe(() => {});
    await until(() => feed.get().status === 'live' && bell.get().status === 'live');
    const { id } = await server.rest(1, 'POST', '/api/posts/', { content: 'un gol' });
    await until(() => feed.get().posts[0]?.content === 'un gol');
    const post = postOf(one, id);
    post.subscribe(() => {});
    await until(() => post.get().status === 'live' && post.get().post);
    await feed.react(id, 'like');
    await until(() => feed.get().posts[0]!.likes_count === 1 && post.get().post!.likes_count === 1);
    expect(post.get().post!.user_reaction).toBe('like');
    expect(feed.get().posts[0]!.user_reaction).toBe('like');
    const { id: comment } = await post.comment('¡vaya!');
    await server.rest(1, 'POST', `/api/posts/${id}/comments/`, { content: 'sí', parent: comment });
    await until(() => post.get().comments[0]?.replies.length === 1);
    expect(post.get().post!.comments_count).toBe(2);
    await post.like(comment, true);
    await until(() => post.get().comments[0]!.likes_count === 1);
    const other = postOf(client(1), id);
    other.subscribe(() => {});
    await until(() => other.get().status === 'live');
    post.setTyping(true);
    await until(() => other.get().typing.length === 1);
    expect(post.get().typing).toEqual([]);
    await post.editComment(comment, '¡vaya gol!');
    await until(() => other.get().comments[0]?.content === '¡vaya gol!');
    post.setTyping(false);
    await until(() => other.get().typing.length === 0);
    await until(() => bell.get().unread === 1);
    expect(one.toasts.get().list[0]!.text).toContain('respondió');
    await bell.markRead(bell.get().notifications[0]!.id);
    await until(() => bell.get().unread === 0 && bell.get().notifications[0]!.is_read);
    for (let reply = 0; reply < 4; reply += 1) await post.comment(`respuesta ${reply}`, comment);
    await until(() => other.get().comments[0]?.replies_count === 5);
    await post.reload();
    expect(post.get().comments[0]!.replies).toHaveLength(3);
    await post.loadReplies(comment);
    expect(post.get().comments[0]!.replies.map((reply) => reply.content)).toEqual(['sí', 'respuesta 0', 'respuesta 1', 'respuesta 2', 'respuesta 3']);
    await post.removeComment(post.get().comments[0]!.replies[4]!.id);
    await until(() => other.get().comments[0]?.replies_count === 4 && post.get().comments[0]!.replies_count === 4);
    await post.removeComment(comment);
    await until(() => other.get().comments.length === 0);
    expect(post.get().comments).toEqual([]);
    expect(post.get().post!.comments_count).toBe(0);
    await server.rest(1, 'DELETE', `/api/posts/${id}/`);
    await until(() => feed.get().posts.length === 0 && post.get().post === null);
  });

  it('go live from the places of their lists', async () => {
    const { id } = await server.rest(1, 'POST', '/api/posts/', { content: 'leído' });
    const get = async (path: string) => {
      const answer = await fetch(server.url + path, { headers: { authorization: `Bearer ${server.users[0]!.token}` } });
      return { body: await answer.json(), cursor: answer.headers.get('x-pregon-cursor'), etag: answer.headers.get('etag') };
    };
    const [feed, post, comments] = [await get('/api/posts/'), await get(`/api/posts/${id}/`), await get(`/api/posts/${id}/comments/`)];
    await server.rest(1, 'POST', `/api/posts/${id}/comments/`, { content: 'entretanto' });
    let reads = 0;
    const one = client(0, { fetch: (...args) => ((reads += 1), fetch(...args)) });
    const live = postOf(one, id, { post: post.body, comments: comments.body, cursor: post.cursor });
    live.subscribe(() => {});
    await until(() => live.get().comments.length === 1);
    expect([live.get().comments[0]!.content, reads]).toEqual(['entretanto', 0]);
    const posts = feedOf(one, { ...feed.body, etag: feed.etag });
    posts.subscribe(() => {});
    await until(() => posts.get().status === 'live' && reads === 1);
    expect(posts.get().posts[0]!.content).toBe('leído');
    await server.rest(1, 'DELETE', `/api/posts/${id}/`);
    await until(() => posts.get().posts.every((post) => post.id !== id));
  });
});

describe('whatever becomes of the connection', () => {
  const said = (from: number, to: number) => Array.from({ length: to - from }, (_, number) => `m${from + number}`);

  it('nothing is lost and nothing doubled while it is cut again and again', async () => {
    const network = await proxied();
    const other = await Pregon.start();
    network.targets = [other.address];
    const mine = { url: network.url, user: other.users[0]!.id, getToken: () => other.users[0]!.token };
    const ana = await live(roomOf(client(0, mine), other.rooms[0]!.id));
    const theirs = { url: other.url, user: other.users[1]!.id, getToken: () => other.users[1]!.token };
    const beto = await live(roomOf(client(1, theirs), other.rooms[0]!.id));
    for (let round = 0; round < 5; round += 1) {
      for (const text of said(round * 20, round * 20 + 20)) ana.send(text);
      await until(() => texts(beto).length > round * 20, Boolean, 10_000);
      network.cut();
      beto.send(`b${round}`);
    }
    const whole = [...said(0, 100), 'b0', 'b1', 'b2', 'b3', 'b4'].sort();
    await until(() => [ana, beto].every((one) => one.get().messages.length >= 105 && one.get().messages.every((message) => message.state === 'sent')), Boolean, 20_000);
    expect([...(await other.contents(0))].sort()).toEqual(whole);
    for (const one of [ana, beto]) expect([...texts(one)].sort()).toEqual(whole);
    expect(texts(beto).filter((text) => text.startsWith('m'))).toEqual(said(0, 100));
    expect(ids(ana)).toEqual(ids(beto));
    await other.end();
  });

  it('a server that is killed and comes back, or stops in order, loses nothing', async () => {
    const other = await Pregon.start();
    const options = (user: number) => ({ url: other.url, user: other.users[user]!.id, getToken: () => other.users[user]!.token });
    const [ana, beto] = [await live(roomOf(client(0, options(0)), other.rooms[0]!.id)), await live(roomOf(client(1, options(1)), other.rooms[0]!.id))];
    const all: string[] = [];
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      for (let number = 0; number < 30; number += 1) {
        all.push(`${signal} ${number}`);
        ana.send(all.at(-1)!);
        if (number === 10) await other.stop(signal);
        if (number === 20) await other.serve();
      }
      await until(() => [ana, beto].every((one) => texts(one).length === all.length && one.get().messages.every(({ state }) => state === 'sent')), Boolean, 15_000);
    }
    expect(await other.contents(0)).toEqual(all);
    for (const one of [ana, beto]) expect(texts(one)).toEqual(all);
    await other.end();
  });

  it('a connection that went silent is noticed soon after somebody looks, and nothing is missed', async () => {
    const network = await proxied();
    const one = client(0, { url: network.url });
    const ana = await live(room(one));
    const before = texts(ana).length;
    network.silence();
    await server.say(1, 0, 'en silencio');
    // What is sent asks after the connection: there is no other sign here, where no page is.
    await new Promise((resolve) => setTimeout(resolve, 100));
    const now = Date.now;
    try {
      // As after a while in which nothing was heard.
      Date.now = () => now() + 25_000;
      ana.send('¿hola?');
      Date.now = () => now() + 30_000;
      ana.send('¿estás?');
      await until(() => texts(ana).length === before + 3 && ana.get().messages.every((message) => message.state === 'sent'));
    } finally {
      Date.now = now;
    }
    expect(texts(ana).slice(-3)).toEqual(['en silencio', '¿hola?', '¿estás?']);
  });

  it('a token that is over is replaced, in-band or after 4001', async () => {
    const asked: string[] = [];
    const network = await proxied();
    const one = client(0, {
      url: network.url,
      getToken: ({ reason }) => {
        asked.push(reason);
        return server.token(0, reason === 'start' ? 3 : 600);
      },
    });
    const ana = await live(room(one));
    await until(() => asked.includes('expired'), Boolean, 10_000);
    await until(() => one.connection.get().state === 'live');
    await server.say(1, 0, 'después');
    await until(() => texts(ana).at(-1) === 'después');
    expect(asked).toEqual(['start', 'expired']);
  });

  it('a ticket opens it, and a logout by the server asks for another login', async () => {
    let isLoggedIn = true;
    let token = server.token(3, 600);
    const ticket = async () => {
      if (!isLoggedIn) return null;
      const answer = await fetch(`${server.url}/api/auth/ticket/`, { method: 'POST', headers: { authorization: `Bearer ${token}` } });
      return { ticket: (await answer.json()).ticket };
    };
    const withToken: typeof fetch = (path, init) => fetch(path, { ...init, headers: { authorization: `Bearer ${token}` } });
    const one = client(3, { getToken: ticket, fetch: withToken });
    await live(room(one));
    isLoggedIn = false;
    await fetch(`${server.url}/api/auth/logout/`, { method: 'POST', headers: { authorization: `Bearer ${token}` } });
    await until(() => one.connection.get().state === 'closed');
    expect(one.connection.get().error!.code).toBe('logged_out');
  });

  it('the older endpoints do it, too', async () => {
    const network = await proxied();
    const one = client(0, { url: network.url, protocol: 'plain' });
    const [ana, beto] = [await live(room(one, 1)), await live(room(client(1), 1))];
    const before = texts(ana).length;
    ana.send('por lo antiguo');
    beto.send('por lo nuevo');
    await until(() => [ana, beto].every((room) => texts(room).length === before + 2));
    expect(texts(ana).sort()).toEqual(texts(beto).sort());
    network.cut();
    await server.say(2, 1, 'entretanto');
    ana.send('y sigue');
    await until(() => texts(ana).includes('entretanto') && texts(beto).includes('y sigue') && ana.get().messages.every(({ state }) => state === 'sent'), Boolean, 10_000);
    expect(texts(ana).filter((text) => text === 'y sigue')).toHaveLength(1);
    const bell = notifications(one);
    bell.subscribe(() => {});
    await until(() => bell.get().status === 'live');
  });
});
