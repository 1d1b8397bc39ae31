// @vitest-environment jsdom
// Hooks under StrictMode: one upgrade, state and not events, and a server's markup that hydrates.

import { act, cleanup, render, screen } from '@testing-library/react';
import { StrictMode, useState } from 'react';
import { hydrateRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { type Client, createClient, type Message, type Page } from '../src/index.js';
import {
  ConnectionIndicator, errorText, PregonProvider, Toasts, useChatWebSocket, useConnection, useFeedWebSocket, useNotifications,
  usePostWebSocket, usePresence,
} from '../src/react/index.js';
import { ANA, BETO, FakeServer, ROOM, TOPIC, tokenOf } from './support/fake.js';
import { until as untilSo } from './support/until.js';

const clients: Client[] = [];

function clientOf(server: FakeServer): Client {
  const client = createClient({
    url: 'http://pregon.test', user: ANA.id, getToken: () => tokenOf(ANA), WebSocket: server.Socket, fetch: server.fetch, share: false,
  });
  clients.push(client);
  return client;
}

/** Until it is so, with React told. */
const until = <T,>(what: () => T) => untilSo(what, undefined, undefined, () => act(() => new Promise((resolve) => setTimeout(resolve, 5))));

function Chat({ room = ROOM, initial, onMessage }: { room?: string; initial?: Page<object>; onMessage?: (message: Message) => void }) {
  const { messages, status, send } = useChatWebSocket(room, { ...(initial && { initial }), ...(onMessage && { onMessage }) });
  return (
    <section>
      <output>{status}</output>
      <ul>{messages.map((message) => <li key={message.id}>{message.content}</li>)}</ul>
      <button onClick={() => send('del botón')}>enviar</button>
    </section>
  );
}

const shown = () => screen.queryAllByRole('listitem').map((item) => item.textContent);
const status = () => screen.getByRole('status').textContent;

afterEach(() => {
  cleanup();
  for (const client of clients.splice(0)) client.close();
});

describe('useChatWebSocket', () => {
  it('opens one socket under StrictMode, shows state, and sends', async () => {
    const server = new FakeServer();
    server.say('antes');
    render(
      <StrictMode>
        <PregonProvider client={clientOf(server)}>
          <Chat />
        </PregonProvider>
      </StrictMode>,
    );
    expect(status()).toBe('loading');
    await until(() => status() === 'live');
    await act(async () => void server.say('ahora'));
    await until(() => shown().length === 2);
    act(() => screen.getByText('enviar').click());
    expect(shown()).toEqual(['antes', 'ahora', 'del botón']);
    await until(() => server.messages().length === 3);
    expect(server.sockets).toHaveLength(1);
    expect(server.sockets[0]!.sent.filter((frame) => frame.type === 'subscribe')).toHaveLength(1);
  });

  it('takes another callback in each render without a new subscription', async () => {
    const server = new FakeServer();
    const heard: string[] = [];
    let again = () => {};
    function Page() {
      const [count, set] = useState(0);
      again = () => set(count + 1);
      return <Chat onMessage={(message) => heard.push(`${count} ${message.content}`)} />;
    }
    render(<StrictMode><PregonProvider client={clientOf(server)}><Page /></PregonProvider></StrictMode>);
    await until(() => status() === 'live');
    await act(async () => void server.say('uno'));
    for (let times = 0; times < 3; times += 1) act(() => again());
    await act(async () => void server.say('dos'));
    await until(() => shown().length === 2);
    expect(heard).toEqual(['0 uno', '3 dos']);
    expect(server.sockets[0]!.sent.filter((frame) => frame.type === 'subscribe')).toHaveLength(1);
  });

  it('leaves a room one tick late: a new page with the same room finds it as it was', async () => {
    const server = new FakeServer();
    const client = clientOf(server);
    const page = (key: string, room = ROOM) => (
      <StrictMode><PregonProvider client={client}><Chat key={key} room={room} /></PregonProvider></StrictMode>
    );
    const { rerender } = render(page('one'));
    await until(() => status() === 'live');
    rerender(page('two'));
    expect(status()).toBe('live');
    rerender(page('three', BETO.id));
    await until(() => status() === 'live' && server.sockets[0]!.sent.some((frame) => frame.type === 'unsubscribe'));
    const topics = server.sockets[0]!.sent.filter((frame) => /subscribe/.test(frame.type)).map((frame) => `${frame.type} ${frame.topic}`);
    expect(topics.sort()).toEqual([`subscribe ${TOPIC}`, `subscribe room:${BETO.id.replace(/-/g, '')}`, `unsubscribe ${TOPIC}`]);
    expect(server.sockets).toHaveLength(1);
  });

  it('renders what a server has read, hydrates it, and goes live from its place', async () => {
    const server = new FakeServer();
    server.say('leído');
    const initial = { results: server.messages(), cursor: server.cursor(TOPIC) };
    server.say('entretanto');
    const page = (client: Client) => <StrictMode><PregonProvider client={client}><Chat initial={initial} /></PregonProvider></StrictMode>;
    const markup = renderToString(page(clientOf(server)));
    expect(markup).toContain('<li>leído</li>');
    expect(server.sockets).toHaveLength(0);
    const complaints = vi.spyOn(console, 'error');
    const root = document.body.appendChild(document.createElement('div'));
    root.innerHTML = markup;
    const hydrated = await act(async () => hydrateRoot(root, page(clientOf(server))));
    await until(() => shown().length === 2);
    expect(shown()).toEqual(['leído', 'entretanto']);
    expect(complaints).not.toHaveBeenCalled();
    act(() => hydrated.unmount());
    root.remove();
  });

  it('does nothing without a room, and works without a provider', async () => {
    const server = new FakeServer();
    vi.stubGlobal('WebSocket', server.Socket);
    vi.stubGlobal('fetch', server.fetch);
    localStorage.setItem('access_token', tokenOf(ANA));
    const { rerender } = render(<Chat room={''} />);
    expect(status()).toBe('idle');
    await act(() => new Promise((resolve) => setTimeout(resolve, 20)));
    expect(server.sockets).toHaveLength(0);
    rerender(<Chat />);
    await until(() => status() === 'live');
    expect(server.sockets[0]!.url).toBe(`${location.origin.replace('http', 'ws')}/ws/`);
    vi.unstubAllGlobals();
  });
});

describe('the other hooks', () => {
  const POST = { id: ROOM, content: 'un gol', user: BETO, comments_count: 0, likes_count: 0, user_reaction: null, is_bookmarked: true, created_at: '2' };
  const comment = (id: string, parent: string | null = null) =>
    ({ id, content: id, parent, user: BETO, replies: [], replies_count: 0, likes_count: 0, is_liked: false, created_at: '1' });

  it('keep a post and its comments as events say', async () => {
    const server = new FakeServer();
    const page = { post: POST, comments: { results: [comment('a')] }, cursor: '1.0' };
    let seen!: ReturnType<typeof usePostWebSocket>;
    const Post = () => ((seen = usePostWebSocket(ROOM, { initial: page })), null);
    render(<StrictMode><PregonProvider client={clientOf(server)}><Post /></PregonProvider></StrictMode>);
    await until(() => seen.status === 'live');
    const topic = TOPIC.replace('room', 'post');
    const events = [
      { type: 'new_comment', comment: comment('b') },
      { type: 'new_comment', comment: comment('b') },
      { type: 'new_comment', comment: comment('c', 'a') },
      { type: 'comment_like', comment_id: 'c', likes_count: 5 },
      { type: 'post_reaction', reaction_data: { post_id: ROOM, likes_count: 2, user_reaction: { user_id: ANA.id, reaction_type: 'golazo' } } },
      { type: 'post_shared', shares_count: 3 },
      { type: 'post_updated', post: { ...POST, content: 'dos goles', is_bookmarked: false, likes_count: 2 } },
    ];
    await act(async () => events.forEach((event) => server.commit(topic, event)));
    await until(() => seen.post?.content === 'dos goles');
    expect(seen.post).toMatchObject({ likes_count: 2, user_reaction: 'dislike', is_bookmarked: true });
    expect(seen.comments.map((one) => one.id)).toEqual(['a', 'b']);
    expect(seen.comments[0]!.replies).toMatchObject([{ id: 'c', likes_count: 5 }]);
    await act(async () => void server.commit(topic, { type: 'comments_deleted', comment_ids: ['b', 'c'], comments_count: 1 }));
    await until(() => seen.post?.comments_count === 1);
    expect(seen.comments).toMatchObject([{ id: 'a', replies: [] }]);
    await act(async () => void server.commit(topic, { type: 'post_deleted', post_id: ROOM }));
    await until(() => seen.post === null);
  });

  it('keep the feed by its posts, read after it is subscribed', async () => {
    const server = new FakeServer();
    let seen!: ReturnType<typeof useFeedWebSocket>;
    const Feed = () => ((seen = useFeedWebSocket({ initial: { results: [POST], etag: '"1"' } })), null);
    const client = createClient({
      url: 'http://pregon.test', user: ANA.id, getToken: () => tokenOf(ANA), WebSocket: server.Socket, share: false,
      // Nothing has changed since the page was rendered.
      fetch: (async (_: string, init: any) =>
        new Response(null, { status: init.headers['if-none-match'] === '"1"' ? 304 : 500 })) as typeof fetch,
    });
    clients.push(client);
    render(<StrictMode><PregonProvider client={client}><Feed /></PregonProvider></StrictMode>);
    await until(() => seen.status === 'live');
    const give = (event: object) => server.live[0]!.give({ type: 'event', topic: 'feed', event });
    await act(async () => {
      give({ type: 'new_post', post: { ...POST, id: 'n', created_at: '3' } });
      give({ type: 'post_reaction', post_id: ROOM, reaction_data: { post_id: ROOM, likes_count: 9, user_reaction: { user_id: BETO.id } } });
      give({ type: 'post_updated', post: { ...POST, is_bookmarked: false, content: 'corregido', likes_count: 9 } });
    });
    await until(() => seen.posts.length === 2);
    expect(seen.posts.map((post) => post.id)).toEqual(['n', ROOM]);
    expect(seen.posts[1]).toMatchObject({ content: 'corregido', likes_count: 9, is_bookmarked: true });
    await act(async () => give({ type: 'post_deleted', post_id: 'n' }));
    expect(seen.posts).toHaveLength(1);
  });

  it('count notifications, show them as toasts, and say how the connection is', async () => {
    const server = new FakeServer();
    let seen!: ReturnType<typeof useNotifications>;
    let connection!: ReturnType<typeof useConnection>;
    const Bell = () => ((seen = useNotifications()), (connection = useConnection()), null);
    render(
      <StrictMode>
        <PregonProvider client={clientOf(server)} lang="en">
          <ConnectionIndicator className="mine" />
          <Toasts />
          <Bell />
        </PregonProvider>
      </StrictMode>,
    );
    await until(() => seen.status === 'live');
    expect(screen.getByRole('status').outerHTML).toBe(
      '<div role="status" data-pregon="connection" data-state="live" class="mine"><span>Connected</span></div>',
    );
    const notification = { id: ROOM, message: 'Beto te sigue', is_read: false, sender: BETO, notification_type: 'follow', created_at: '1' };
    await act(async () => void server.commit('notifications', { type: 'notification', notification }));
    await until(() => screen.queryByText('Beto te sigue'));
    expect([seen.unread, seen.notifications.length]).toEqual([1, 1]);
    act(() => screen.getByLabelText('Dismiss').click());
    expect(screen.queryByText('Beto te sigue')).toBeNull();
    await act(async () => void server.commit('notifications', { type: 'notifications_read', notification_ids: [ROOM], count: 1 }));
    await until(() => seen.unread === 0);
    expect(seen.notifications[0]!.is_read).toBe(true);
    server.isUp = false;
    await act(async () => server.live[0]!.end());
    await until(() => connection.state === 'waiting');
    expect(screen.getByRole('status').textContent).toBe('Reconnecting…Try again');
    server.isUp = true;
    act(() => screen.getByText('Try again').click());
    await until(() => connection.state === 'live');
    expect(errorText({ code: 'too_old', text: '' }, 'es')).toContain('más de un día');
    expect(errorText({ code: 'removed', text: 'Ya no' }, 'es')).toBe('Ya no');
  });

  it('say who is there', async () => {
    const server = new FakeServer();
    let seen!: ReturnType<typeof usePresence>;
    const Who = () => ((seen = usePresence(ROOM)), null);
    render(<StrictMode><PregonProvider client={clientOf(server)}><Who /></PregonProvider></StrictMode>);
    await until(() => server.live[0]?.topics.size);
    await act(async () =>
      server.live[0]!.give({ type: 'event', topic: TOPIC, event: { type: 'user_status', user_id: BETO.id, username: 'beto', status: 'online' } }),
    );
    await until(() => seen.count === 1);
    expect(seen.isOnline(BETO.id)).toBe(true);
  });
});
