'use client';
// Hooks that return live state. Nothing is connected in a render, or on a server.

import { createContext, createElement, type ReactNode, useContext, useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import { type Client, createClient, feed, notifications, post as postOf, room as roomOf } from '../index.js';
import type { Feed, FeedState, LivePost, Notifications, NotificationsState, Options, Page, PostPage, PostState, Room, RoomState } from '../index.js';
import type { Connection, Message, Notification, Person, Store } from '../index.js';
import type { Lang } from './texts.js';

type Actions<T, S> = Omit<T, keyof S | 'get' | 'set' | 'subscribe' | 'start' | 'onEvent'>;

interface Common {
  /** Instead of the provider's client. */
  client?: Client;
  /** Told of each event, in the words of docs/protocol.md. It may be another function in each render. */
  onEvent?: (event: any) => void;
}

const Context = createContext<{ client?: Client; lang?: Lang | undefined }>({});

let shared: Client | undefined;

/** Each request of a server has its own; pages have one. */
function defaultClient(): Client {
  return typeof window === 'undefined' ? createClient() : (shared ??= createClient());
}

/** The provider's client; without one a client of the page's own address, whose token is `access_token` of localStorage. */
export function useClient(client?: Client): Client {
  const context = useContext(Context);
  return client ?? context.client ?? defaultClient();
}

export function useLang(lang?: Lang): Lang {
  const context = useContext(Context);
  return lang ?? context.lang ?? 'es';
}

/** Gives hooks their client: one that is given, or one made of these options. It is made anew when address or user change. */
export function PregonProvider({ client, lang, children, ...options }: Options & { client?: Client; lang?: Lang; children?: ReactNode }) {
  const latest = useLatest(options);
  const { url, user, protocol, share } = options;
  const made = useMemo(
    () =>
      client ??
      createClient({ ...latest.current, ...(latest.current.getToken && { getToken: (why) => latest.current.getToken!(why) }) }),
    [client, url, user, protocol, share],
  );
  const value = useMemo(() => ({ client: made, lang }), [made, lang]);
  return createElement(Context.Provider, { value }, children);
}

/** What may be new in each render, for effects that are not. */
function useLatest<T>(value: T) {
  const ref = useRef(value);
  useEffect(() => {
    ref.current = value;
  });
  return ref;
}

const nothing = () => () => {};

export function useStore<S>(store: (Store<S> & { start?: S }) | null, empty: S): S {
  return useSyncExternalStore(
    store ? store.subscribe : nothing,
    () => (store ? store.get() : empty),
    () => store?.start ?? empty,
  );
}

/** A store's state and what can be done, and its events for `tell`. */
function useTopic<S extends object, T extends Store<S> & { start: S; onEvent(listener: (event: any) => void): () => void }>(
  store: T | null,
  empty: S,
  tell: (event: any, store: T) => void,
): S & Actions<T, S> {
  const state = useStore<S>(store, empty);
  const latest = useLatest(tell);
  useEffect(() => store?.onEvent((event) => latest.current(event, store)), [store]);
  return useMemo(() => ({ ...store, ...state }) as unknown as S & Actions<T, S>, [store, state]);
}

const IDLE = { status: 'idle', gap: false, hasOlder: false, error: null } as const;
const NO_ROOM: RoomState = { ...IDLE, messages: [], typing: [], presence: { users: [], count: 0 }, readers: {}, changes: 0, unread: 0 };
const NO_POST: PostState = { ...IDLE, post: null, comments: [], typing: [] };
const NO_CONNECTION: Connection = { state: 'idle' };

export interface ChatOptions extends Common {
  /** The first page as a server component has read it: the room goes live from its place. */
  initial?: Page<object>;
  /** A message came, of anybody. */
  onMessage?: (message: Message) => void;
  onTyping?: (person: Person, isTyping: boolean) => void;
}

/** A room. Without an id nothing is listened to, and there is nothing to call. */
export function useChatWebSocket(room: string | null | undefined, options: ChatOptions = {}): RoomState & Actions<Room, RoomState> {
  const client = useClient(options.client);
  const store = useMemo(() => (room ? roomOf(client, room, options.initial) : null), [client, room]);
  return useTopic<RoomState, Room>(store, NO_ROOM, (event) => {
    const { type, user_id: id, username } = event;
    options.onEvent?.(event);
    if (type === 'message') options.onMessage?.(event.message);
    else if (type === 'typing_status') options.onTyping?.({ id, username }, event.is_typing);
  });
}

/** A post with its comments. */
export function usePostWebSocket(post: string | null | undefined, options: Common & { initial?: PostPage } = {}): PostState & Actions<LivePost, PostState> {
  const client = useClient(options.client);
  const store = useMemo(() => (post ? postOf(client, post, options.initial) : null), [client, post]);
  return useTopic<PostState, LivePost>(store, NO_POST, (event) => options.onEvent?.(event));
}

/** The user's feed. */
export function useFeedWebSocket(options: Common & { initial?: Page<object> } = {}): FeedState & Actions<Feed, FeedState> {
  const client = useClient(options.client);
  const store = useMemo(() => feed(client, options.initial), [client]);
  return useTopic<FeedState, Feed>(store, store.start, (event) => options.onEvent?.(event));
}

export interface NotificationOptions extends Common {
  initial?: Page<object> & { unread?: number };
  onNotification?: (notification: Notification) => void;
}

/** The user's notifications. */
export function useNotifications(options: NotificationOptions = {}): NotificationsState & Actions<Notifications, NotificationsState> {
  const client = useClient(options.client);
  const store = useMemo(() => notifications(client, options.initial), [client]);
  return useTopic<NotificationsState, Notifications>(store, store.start, (event) => {
    options.onEvent?.(event);
    if (event.type === 'notification') options.onNotification?.(event.notification);
  });
}

/** Who is in a room, and how many. */
export function usePresence(room: string | null | undefined, options: { client?: Client } = {}) {
  const client = useClient(options.client);
  const store = useMemo(() => (room ? roomOf(client, room) : null), [client, room]);
  const { presence } = useStore<RoomState>(store, NO_ROOM);
  return useMemo(() => ({ ...presence, isOnline: (user: string) => presence.users.some(({ id }) => id === user) }), [presence]);
}

/** How the connection is. */
export function useConnection(options: { client?: Client } = {}) {
  const client = useClient(options.client);
  const connection = useStore<Connection>(client.connection, NO_CONNECTION);
  return useMemo(() => ({ ...connection, retry: client.retry }), [client, connection]);
}
