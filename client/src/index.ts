// A client of pregon without a framework: stores for rooms, posts, the feed and notifications, over one connection.

import { createHost, type Toast } from './client.js';
import { createNotifications, type Notifications } from './notifications.js';
import { createFeed, createPost, type Feed, type LivePost } from './post.js';
import { createRoom, type Room } from './room.js';
import { plainId, type Store } from './store.js';
import type { Connection, Options, Page } from './types.js';

export { serve } from './tabs.js';
export { PregonError } from './types.js';
export type { Toast } from './client.js';
export type { Notifications, NotificationsState } from './notifications.js';
export type { Feed, FeedState, LivePost, PostState } from './post.js';
export type * as Protocol from './protocol.js';
export type { Room, RoomState } from './room.js';
export type { Store } from './store.js';
export type * from './types.js';

export interface PostPage {
  post: object;
  comments: Page<object>;
  cursor?: string | null;
}

/** The same name gives the same store. `initial` is what a server component has read, and counts for a store that is new. */
export interface Client {
  readonly connection: Store<Connection>;
  readonly toasts: Store<{ list: readonly Toast[] }>;
  /** Whose connection it is, once it is known. */
  readonly me: { id: string; username: string } | undefined;
  room(id: string, initial?: Page<object>): Room;
  post(id: string, initial?: PostPage): LivePost;
  feed(initial?: Page<object>): Feed;
  notifications(initial?: Page<object> & { unread?: number }): Notifications;
  /** A request of REST with the user's token, renewed if it is over. */
  api(path: string, init?: RequestInit): Promise<Response>;
  toast(toast: Omit<Toast, 'id'>): void;
  dismiss(id: string): void;
  /** Connects now, also after the connection was closed for good. */
  retry(): void;
  /** Forgets what is unsent and closes the connection, in all tabs. Call it when the user logs out. */
  logout(): Promise<void>;
  /** This tab hears nothing more, until a store is used again. */
  close(): void;
}

/** Stores that nobody uses are kept for a while, for those who come back. */
const STORES_MAX = 64;

/** Nothing is connected before somebody listens to a store. */
export function createClient(options: Options = {}): Client {
  const host = createHost(options);
  const stores = new Map<string, unknown>();

  function of<T>(name: string, make: () => T): T {
    const known = stores.get(name) ?? make();
    // The one that was used last is the last to go.
    stores.delete(name);
    stores.set(name, known);
    if (stores.size > STORES_MAX) stores.delete(stores.keys().next().value!);
    return known as T;
  }

  return Object.assign(Object.create(host, {}), {
    room: (id: string, initial?: Page<object>) => of(`room:${plainId(id)}`, () => createRoom(host, id, initial)),
    post: (id: string, initial?: PostPage) => of(`post:${plainId(id)}`, () => createPost(host, id, initial)),
    feed: (initial?: Page<object>) => of('feed', () => createFeed(host, initial)),
    notifications: (initial?: Page<object>) => of('notifications', () => createNotifications(host, initial)),
  });
}
