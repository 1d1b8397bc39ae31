// What all topics have in common: read a list, listen from its place on, read it again after a gap.

import type { Host, Topic } from './client.js';
import { cell, isBehind, type Store } from './store.js';
import type { Live, Page } from './types.js';
import type { Cursor, Down } from './wire.js';

export interface LiveTopic<S> extends Store<S> {
  /** The state at the beginning, which a server renders. */
  readonly start: S;
  /** The next page of the list. */
  loadOlder(): Promise<void>;
  /** Reads the list again, for what no event tells, such as whose posts the feed shows. */
  reload(): Promise<void>;
  /** Told of each event that was applied, as docs/protocol.md has it. */
  onEvent(listener: (event: any) => void): () => void;
}

/** As those see it who change it. */
export type Internal<S> = LiveTopic<S> & { set(patch: Partial<S>): void };

/** A first page, and what else was read with it. */
export interface Read<S> {
  /** Null if it is as it was. */
  page: Page<any> | null;
  patch?: Partial<S>;
  /** The place that the list shows; null where the server does not say. */
  cursor: string | null;
}

export interface Spec<S> {
  read(): Promise<Read<S>>;
  first(results: any[]): Partial<S>;
  more(results: any[]): Partial<S>;
  apply(event: any): void;
  subscribed?(): void;
  /** What concerns messages that are not stored yet. Without a message: somebody listens again. */
  down?(message?: Down): void;
}

const READ_AGAIN_MS = 3_000;

/** The path of a page's address: a server may be known to itself by another name than here. */
export const pathOf = (next: string | null | undefined): string | null => (next ? next.replace(/^\w+:\/\/[^/]+/, '') : null);

/** Both lists, each id once. */
export const joined = <T extends { id: string }>(known: readonly T[], more: T[]): T[] => [
  ...known,
  ...more.filter(({ id }) => !known.some((one) => one.id === id)),
];

/** `page` is what was read before, if anything was; `start` shows it. */
export function liveTopic<S extends Live>(
  host: Host,
  name: string,
  start: Partial<S>,
  page: (Partial<Page<object>> & { cursor?: string | null }) | undefined,
  spec: Spec<S>,
): Internal<S> {
  let cursor: Cursor = page?.cursor;
  let older: string | null = null;
  let isLoaded = !!page;
  let isSubscribed = false;
  let isLost = false;
  let isUsed = false;
  /** What comes while the list is read. */
  let held: (Down & { type: 'event' })[] | undefined;
  let isStale = false;
  let leaving: ReturnType<typeof setTimeout> | undefined;
  let reading: ReturnType<typeof setTimeout> | undefined;
  const listeners = new Set<(event: any) => void>();

  const paged = ({ next }: Partial<Page<object>>, patch: Partial<S>): Partial<S> => {
    older = pathOf(next);
    return { ...patch, hasOlder: !!older };
  };
  const first = (read: Partial<Page<object>>) => paged(read, spec.first(read.results ?? []));

  const initial = { status: isLoaded ? 'idle' : 'loading', gap: false, hasOlder: false, error: null, ...start, ...(page && first(page)) } as unknown as S;
  const state = cell<S>(initial, (used) => {
    clearTimeout(leaving);
    if (used && !isUsed) join();
    // One tick late: whoever comes back in the same moment (StrictMode, another page) finds it as it was.
    if (!used) leaving = setTimeout(leave);
  });
  const set = state.set as (patch: object) => void;

  async function join() {
    isUsed = true;
    host.retry();
    if (!isLoaded) await read();
    if (isUsed) host.retain(topic);
    spec.down?.();
    showStatus();
  }

  function leave() {
    isUsed = isSubscribed = false;
    clearTimeout(reading);
    host.release(topic);
  }

  function showStatus() {
    const { state: at, error = null } = host.connection.get();
    if (at !== 'live') isSubscribed = false;
    if (isLost) set({ status: 'lost' });
    else set({ error, status: !isLoaded ? 'loading' : at === 'live' && !isSubscribed ? 'connecting' : at });
  }

  async function read(): Promise<void> {
    clearTimeout(reading);
    // What is being read may be older than what happened now.
    isStale = !!held;
    if (held) return;
    const events: (Down & { type: 'event' })[] = [];
    held = events;
    try {
      let list;
      do {
        isStale = false;
        list = await spec.read();
      } while (isStale);
      isLoaded = true;
      cursor = list.cursor ?? cursor;
      set({ ...(list.page && first(list.page)), ...list.patch, gap: false, error: null });
    } catch (error: any) {
      const { code = 'offline', message: text } = error;
      set({ error: { code, text } });
      // It will not be otherwise.
      if (code === '403' || code === '404') isLost = true;
      else if (isUsed) reading = setTimeout(read, READ_AGAIN_MS * (1 + Math.random()));
    }
    held = undefined;
    events.forEach(take);
    showStatus();
  }

  function take({ cursor: place, event }: Down & { type: 'event' }) {
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
    connectionChanged: showStatus,
    down(message) {
      const { type } = message;
      if (type === 'event') {
        // What other tabs hear before the hub has this one's place would be taken for what follows it.
        if (message.cursor && !isSubscribed) return;
        if (held) held.push(message);
        else take(message);
      } else if (type === 'subscribed') {
        isSubscribed = true;
        isLost = false;
        spec.subscribed?.();
        // The list may have been read before this; without a place nobody knows what was missed.
        if (!isLoaded || !cursor || !message.cursor || isBehind(message.cursor, cursor)) void read();
        cursor ??= message.cursor;
        showStatus();
      } else if (type === 'gap') {
        cursor = message.cursor;
        set({ gap: true });
        void read();
      } else if (type === 'lost') {
        isLost = true;
        set({ status: 'lost', error: message.error });
      } else spec.down?.(message);
    },
  };

  return {
    ...state,
    start: initial,
    async loadOlder() {
      const from = older;
      if (!from) return;
      const { body } = await host.call('GET', from);
      // Somebody else has asked for it, or all of it was read anew.
      if (older === from) set(paged(body, spec.more(body.results)));
    },
    async reload() {
      await host.start();
      await read();
    },
    onEvent(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
}
