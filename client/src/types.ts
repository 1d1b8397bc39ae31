// What pages see: messages, posts and notifications as REST shows them, and the state of a connection.

/** Somebody. Lists of REST say more than events do. */
export interface Person {
  id: string;
  username: string;
  display_name?: string;
  avatar_url?: string | null;
  [more: string]: unknown;
}

/** What went wrong: `code` for programs, `text` for people, in the server's language if it is the server's. */
export interface Failure {
  code: string;
  text: string;
}

/** What can be read of a failed call. */
export class PregonError extends Error implements Failure {
  constructor(
    readonly code: string,
    readonly text = '',
  ) {
    super(text || code);
  }
}

export interface Reaction {
  user: Person;
  reaction_type: string;
  [more: string]: unknown;
}

/** The message that another one answers. */
export interface Reply {
  id: string;
  content: string;
  message_type: string;
  sender: { username: string; display_name?: string };
  is_deleted?: boolean;
}

/** A message of a room, with the keys that REST gives it. */
export interface Message {
  /** Of a message that the server does not have yet: its `client_id`. */
  id: string;
  sender: Person;
  content: string;
  message_type: string;
  image?: string | null;
  video?: string | null;
  audio?: string | null;
  file_url?: string;
  file_name?: string;
  file_size?: number | null;
  reply_to: Reply | null;
  story_id?: string | null;
  is_edited: boolean;
  created_at: string;
  reactions: Reaction[];
  reaction_counts: Record<string, number>;
  user_reaction: string | null;
  is_read: boolean;
  read_by_count: number;
  /** `sending` until the server has stored it. `failed` ones wait for `retry` or `remove`. */
  state: 'sending' | 'sent' | 'failed';
  client_id?: string;
  /** Why it failed. */
  error?: Failure;
  [more: string]: unknown;
}

/** A comment with its first replies. */
export interface Comment {
  id: string;
  user: Person;
  content: string;
  parent?: string | null;
  likes_count: number;
  replies_count: number;
  is_liked: boolean;
  replies: Comment[];
  created_at: string;
  [more: string]: unknown;
}

export interface Post {
  id: string;
  user: Person;
  content: string;
  comments_count: number;
  shares_count: number;
  user_reaction: string | null;
  is_bookmarked: boolean;
  created_at: string;
  [more: string]: unknown;
}

export interface Notification {
  id: string;
  sender: Person;
  notification_type: string;
  message: string;
  is_read: boolean;
  created_at: string;
  [more: string]: unknown;
}

/** A list as a server component has read it, for going live from its place: `results`, the header X-Pregon-Cursor, `next`. */
export interface Page<T> {
  results: T[];
  next?: string | null;
  /** The header X-Pregon-Cursor of the answer. */
  cursor?: string | null;
  /** Of a feed: the header ETag. */
  etag?: string | null;
}

/**
 * `idle`: nothing is listened to. `waiting`: the next attempt is at `retryAt`. `closed`: for good, see `error`; `retry()` of the
 * client begins again.
 */
export interface Connection {
  state: 'idle' | 'connecting' | 'live' | 'waiting' | 'offline' | 'closed';
  /** Milliseconds since 1970. */
  retryAt?: number;
  error?: Failure;
  /** Which protocol the server speaks, once it is known. */
  protocol?: 'v1' | 'plain';
}

/** What every topic's state has. */
export interface Live {
  /** `loading`: the first page is not here yet. `live`: what is shown is up to date. `lost`: this user may not listen, see `error`. */
  status: 'loading' | 'live' | 'connecting' | 'waiting' | 'offline' | 'closed' | 'idle' | 'lost';
  /** Something was missed, and the list is being read again. */
  gap: boolean;
  hasOlder: boolean;
  error: Failure | null;
}

export type Credential = string | { ticket: string } | null | undefined;

/** Why a token is asked for: none was needed before, the last one is about to end, or the server refused it. */
export type TokenReason = 'start' | 'expired' | 'rejected';

export interface Options {
  /** The server's address; where the page comes from, if it is missing. */
  url?: string;
  /**
   * The user's id. It names the queue of unsent messages and what tabs share, so with it both work before there is a network. If
   * it is missing it is read from the token.
   */
  user?: string;
  /** An access token, or `{ ticket }`, or nothing if nobody is logged in. If it is missing: `access_token` of localStorage. */
  getToken?: (why: { reason: TokenReason }) => Credential | Promise<Credential>;
  /** `auto` tries `pregon.v1`, and the older endpoints where only those answer. */
  protocol?: 'auto' | 'v1' | 'plain';
  /** False: each tab has a connection of its own. */
  share?: boolean;
  /** A SharedWorker that calls `serve()`; then it holds the connection, and not one of the tabs. */
  worker?: () => SharedWorker;
  /** Requests of lists and other REST. */
  fetch?: typeof fetch;
  /** For programs without a browser, and for tests. */
  WebSocket?: new (url: string, protocols?: string[]) => WebSocket;
}
