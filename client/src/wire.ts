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

/** From a tab to the hub. */
export type Up =
  /** What this tab listens to, and up to which place it has heard; what it wants sent, which the hub may not know of. */
  | { t: 'hello'; topics: [topic: string, cursor: string | null][]; unsent: Unsent[] }
  | { t: 'join'; topic: string; cursor: string | null }
  | { t: 'leave'; topic: string }
  | { t: 'bye' }
  | { t: 'say'; unsent: Unsent }
  /** Send a message that has failed again, or all of a topic. */
  | { t: 'again'; topic: string; client_id?: string | undefined }
  /** Connect now, also after the connection was closed for good. */
  | { t: 'connect' }
  | { t: 'drop'; client_id: string }
  /** A request that is answered. */
  | { t: 'ask'; n: number; frame: ClientFrame }
  | { t: 'tell'; frame: ClientFrame }
  /** Is the connection well? `now`: do not wait to connect. `lost`: what there is of a connection is of no use. */
  | { t: 'poke'; now: boolean | undefined; lost: boolean | undefined }
  /** A token for REST; `refused` is one that was not taken. */
  | { t: 'token'; n: number; refused?: string }
  /** The credential that the hub has asked for. */
  | { t: 'credential'; n: number; credential?: Credential; failed?: string }
  | { t: 'logout' };

/** From the hub to one tab or to all of them. */
export type Down =
  /** There is a new hub: say hello. */
  | { t: 'hub' }
  | { t: 'alive' }
  | { t: 'credential'; n: number; reason: TokenReason }
  | { t: 'status'; connection: Connection; me: { id: string; username: string } | undefined }
  | { t: 'reply'; n: number; frame: ServerFrame | { type: 'token'; token: string | null } }
  | { t: 'subscribed'; topic: string; cursor: string | null }
  | { t: 'gap'; topic: string; cursor: string | null }
  | { t: 'event'; topic: string; cursor: string | null; event: any }
  | { t: 'lost'; topic: string; error: Failure }
  /** What waits in a topic, or some of it that is new or has changed. */
  | { t: 'unsent'; topic: string; unsent: Unsent[] }
  /** It waits no more: it is stored as the message `id`, or it was given up. */
  | { t: 'done'; topic: string; client_id: string; id?: string | undefined }
  | { t: 'notice'; text: string; topic: string | null | undefined };
