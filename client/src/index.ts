// A client of pregon without a framework: stores for rooms, posts, the feed and notifications, over one connection.

export { type Client, createClient, type Toast } from './client.js';
export { type Notifications, type NotificationsState, notifications } from './notifications.js';
export { type Feed, feed, type FeedState, type LivePost, post, type PostPage, type PostState } from './post.js';
export type * as Protocol from './protocol.js';
export { type Room, room, type RoomState } from './room.js';
export type { Store } from './store.js';
export type * from './types.js';
export { PregonError } from './types.js';
export { serve } from './serve.js';
