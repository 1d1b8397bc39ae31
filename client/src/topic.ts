// What all topics have in common: read a list, listen from its place on, read it again after a gap.

import type { Host, Topic } from './client.js';
import { cell, isBehind, type Store } from './store.js';
import type { Failure, Live } from './types.js';
import type { Down, Unsent } from './wire.js';

export interface Read<S> {
  patch: Partial<S>;
  /** The place that the list shows; null where the server does not say. */
  cursor: string | null;
}

export interface LiveTopic<S> extends Store<S> {
  /** The state at the beginning, which a server renders. */
  readonly start: S;
  set(patch: Partial<S>): void;
  /** Reads the list again. */
  refresh(): Promise<void>;
  /** Told of each event that was applied, as docs/protocol.md has it. */
  onEvent(listener: (event: any) => void): () => void;
}

export interface Spec<S> {
  /** The first page. */
  read(): Promise<Read<S>>;
  apply(event: any): void;
  subscribed?(): void;
  /** Everything else that concerns the topic. */
  down?(message: Down): void;
  unsent?(): Unsent[];
}

const READ_AGAIN_MS = 3_000;

export const failure = (error: any): Failure => ({ code: error.code ?? 'offline', text: error.text ?? String(error.message ?? error) });

/** The path of a page's address: a server may be known to itself by another name than here. */
export const pathOf = (next: string | null | undefined): string | null => {
  if (!next) return null;
  const { pathname, search } = new URL(next, 'http://x');
  return pathname + search;
};

/** `page` is what was read before, if anything was. `start` shows it. */
export function liveTopic<S extends Live>(
  host: Host,
  name: string,
  start: Omit<S, keyof Live> & { hasOlder?: boolean },
  page: { cursor?: string | null } | undefined,
  spec: Spec<S>,
): LiveTopic<S> {
  let cursor = page?.cursor ?? null;
  let isLoaded = !!page;
  let isSubscribed = false;
  let isLost = false;
  let isUsed = false;
  /** What comes while the list is read. */
  let held: (Down & { t: 'event' })[] | undefined;
  let isStale = false;
  const listeners = new Set<(event: any) => void>();
  let leaving: ReturnType<typeof setTimeout> | undefined;
  let reading: ReturnType<typeof setTimeout> | undefined;

  const first = { status: isLoaded ? 'idle' : 'loading', gap: false, hasOlder: false, error: null, ...start } as unknown as S;
  const state = cell<S>(first, (used) => {
    clearTimeout(leaving);
    if (used && !isUsed) join();
    // One tick late: whoever comes back in the same moment (StrictMode, another page) finds it as it was.
    if (!used) leaving = setTimeout(leave);
  });

  async function join() {
    isUsed = true;
    void host.start().then(() => host.up({ t: 'connect' }));
    if (!isLoaded) await read();
    if (isUsed) host.retain(topic);
    showStatus();
  }

  function leave() {
    isUsed = isSubscribed = false;
    clearTimeout(reading);
    host.release(topic);
  }

  function showStatus() {
    const connection = host.connection.get();
    const error = isLost ? {} : { error: connection.error ?? null };
    const { state: at } = connection;
    if (at !== 'live') isSubscribed = false;
    const status = isLost ? 'lost' : !isLoaded ? 'loading' : at === 'live' && !isSubscribed ? 'connecting' : at;
    state.set({ status, ...error } as Partial<S>);
  }

  async function read(): Promise<void> {
    clearTimeout(reading);
    // What is being read may be older than what happened now.
    isStale = !!held;
    if (held) return;
    held = [];
    try {
      let list;
      do {
        isStale = false;
        list = await spec.read();
      } while (isStale);
      isLoaded = true;
      cursor = list.cursor ?? cursor;
      state.set({ ...list.patch, gap: false, error: null });
    } catch (error) {
      state.set({ error: failure(error) } as Partial<S>);
      // 403, 404: it will not be otherwise.
      if (/^4(03|04)$/.test(failure(error).code)) isLost = true;
      else if (isUsed) reading = setTimeout(read, READ_AGAIN_MS * (1 + Math.random()));
    }
    const events = held;
    held = undefined;
    events.forEach(take);
    showStatus();
  }

  function take({ cursor: place, event }: Down & { t: 'event' }) {
    if (place) {
      if (cursor && !isBehind(place, cursor)) return;
      cursor = place;
    }
    spec.apply(event);
    for (const listener of listeners) listener(event);
  }

  const topic: Topic = {
    name,
    cursor: () => cursor,
    unsent: () => spec.unsent?.() ?? [],
    connectionChanged: showStatus,
    down(message) {
      switch (message.t) {
        case 'event':
          if (held) held.push(message);
          else take(message);
          return;
        case 'subscribed':
          isSubscribed = true;
          isLost = false;
          spec.subscribed?.();
          // The list may have been read before this; without a place nobody knows what was missed.
          if (!isLoaded || !cursor || !message.cursor) void read();
          cursor ??= message.cursor;
          return showStatus();
        case 'gap':
          cursor = message.cursor;
          state.set({ gap: true } as Partial<S>);
          return void read();
        case 'lost':
          isLost = true;
          state.set({ error: message.error } as Partial<S>);
          return showStatus();
        default:
          spec.down?.(message);
      }
    },
  };

  return {
    ...state,
    start: first,
    refresh: read,
    onEvent(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
