// What a tab and the hub that holds the connection tell each other. Both may be in one tab, in two, or in a SharedWorker.

import type { ClientFrame, ServerFrame } from './protocol.js';
import type { Connection, Credential, Failure, TokenReason } from './types.js';

/** A message that waits to be stored. */
export interface Unsent {
  client_id: string;
  topic: string;
  content: string;
  message_type: string;
  reply_to: string | null;
  /** When it was written, in milliseconds since 1970. */
  at: number;
  /** It was sent at least once, so the server may have it. */
  tried?: boolean;
  error?: Failure | undefined;
}

/** A place in a topic's order, where there is one. */
export type Cursor = string | null | undefined;

/** From a tab to the hub. */
export type Up =
  /** What this tab listens to, and up to which place it has heard; what it wants sent, which the hub may not know of. */
  | { type: 'hello'; topics: [topic: string, cursor: Cursor][]; unsent: Unsent[] }
  | { type: 'join'; topic: string; cursor: Cursor }
  | { type: 'leave'; topic: string }
  | { type: 'bye' }
  /** Say it as soon as it can be. */
  | { type: 'unsent'; topic: string; unsent: Unsent }
  /** Send a message that has failed again, or all of a topic. */
  | { type: 'again'; topic: string; client_id?: string | undefined }
  /** Connect now, also after the connection was closed for good. */
  | { type: 'connect' }
  /** It was given up. */
  | { type: 'done'; topic: string; client_id: string }
  /** A request that is answered. */
  | { type: 'ask'; n: number; frame: ClientFrame }
  | { type: 'tell'; frame: ClientFrame }
  /** Is the connection well? `now`: do not wait to connect. `lost`: what there is of a connection is of no use. */
  | { type: 'poke'; now: boolean | undefined; lost: boolean | undefined }
  /** A token for REST; `refused` is one that was not taken. */
  | { type: 'token'; n: number; refused?: string }
  /** The credential that the hub has asked for. */
  | { type: 'credential'; n: number; credential?: Credential; failed?: boolean }
  | { type: 'logout' };

/** From the hub to one tab or to all of them. Frames of the server that tabs understand are passed on. */
export type Down =
  /** There is a new hub: say hello. */
  | { type: 'hub' }
  | { type: 'alive' }
  | { type: 'credential'; n: number; reason: TokenReason }
  | { type: 'status'; connection: Connection; me: { id: string; username: string } | undefined }
  | { type: 'reply'; n: number; frame: ServerFrame | { type: 'token'; token: string | undefined } }
  | { type: 'subscribed'; topic: string; cursor?: Cursor }
  | { type: 'gap'; topic: string; cursor?: Cursor }
  | { type: 'event'; topic: string; cursor?: Cursor; event: any }
  | { type: 'lost'; topic: string; error: Failure }
  /** One that waits; it is new or has changed. */
  | { type: 'unsent'; topic: string; unsent: Unsent }
  /** It waits no more: it is stored as the message `id`, or it was given up. */
  | { type: 'done'; topic: string; client_id: string; id?: string | undefined }
  | { type: 'notice'; text: string; topic?: string | null | undefined };
