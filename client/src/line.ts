// One socket of `pregon.v1`: frames out, frames in, and how it ended.

import type { ClientFrame, ServerFrame } from './protocol.js';
import type { Credential } from './types.js';

export interface Line {
  readonly protocol: 'v1' | 'plain';
  send(frame: ClientFrame): void;
  /** Nothing is heard of it any more. */
  close(): void;
}

export interface Ears {
  /** Nobody knows yet whether the server speaks this. */
  isGuess: boolean;
  credential: NonNullable<Credential>;
  opened(): void;
  heard(frame: ServerFrame): void;
  /** It ended by itself. `wasOpen`: there was a handshake. */
  closed(code: number, wasOpen: boolean): void;
}

export type Dial = (url: string, protocols?: string[]) => WebSocket;

/** Below the address of a server. */
export const socketUrl = (base: string, path: string): string => base.replace(/^http/, 'ws') + path;

/** A socket with handlers; `close` ends it without a word. */
export function listen(socket: WebSocket, { opened, heard, closed }: { opened(): void; heard(frame: any): void; closed(code: number, wasOpen: boolean): void }) {
  let wasOpen = false;
  socket.onopen = () => {
    wasOpen = true;
    opened();
  };
  socket.onmessage = ({ data }) => heard(JSON.parse(data));
  // What is behind it comes with the close; programs without a browser would end.
  socket.onerror = () => {};
  socket.onclose = ({ code }) => closed(code, wasOpen);
  return {
    send(frame: object) {
      if (socket.readyState === 1) socket.send(JSON.stringify(frame));
    },
    close() {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    },
  };
}

/** The credential goes in the first frame: an address would be logged by proxies. */
export function openV1(base: string, dial: Dial, ears: Ears): Line {
  const socket = dial(socketUrl(base, '/ws/'), ['pregon.v1']);
  const line = listen(socket, {
    ...ears,
    opened() {
      // What answers without the subprotocol is another server.
      if (socket.protocol) return ears.opened();
      line.close();
      ears.closed(1006, false);
    },
  });
  return { protocol: 'v1', ...line };
}
