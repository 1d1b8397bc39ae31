// A value that can be watched: the form that React's useSyncExternalStore takes.

export interface Store<S> {
  /** The value. It is replaced and never changed, so that `===` tells whether something happened. */
  get(): S;
  subscribe(listener: () => void): () => void;
}

export interface Cell<S> extends Store<S> {
  set(patch: Partial<S>): void;
}

/** `used` is told when the first listener comes and when the last one has gone. */
export function cell<S extends object>(value: S, used?: (isUsed: boolean) => void): Cell<S> {
  const listeners = new Set<() => void>();
  return {
    get: () => value,
    set(patch) {
      const keys = Object.keys(patch) as (keyof S)[];
      if (keys.every((key) => Object.is(value[key], patch[key]))) return;
      value = { ...value, ...patch };
      for (const listener of [...listeners]) listener();
    },
    subscribe(callback) {
      // The same function may be given twice.
      const listener = () => callback();
      listeners.add(listener);
      if (listeners.size === 1) used?.(true);
      return () => {
        if (listeners.delete(listener) && !listeners.size) used?.(false);
      };
    },
  };
}

/** A unique name; `crypto.randomUUID` does not exist on pages without TLS. */
export function unique(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** An id as topics have it: 32 digits. */
export const plainId = (id: string): string => id.replace(/-/g, '').toLowerCase();

/** An id as REST has it, with hyphens. */
export const dashedId = (id: string): string => plainId(id).replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');

/** Does a place in a topic's order lie behind another? Both have the form `epoch.number`; numbers stay below 10^12. */
export const isBehind = (cursor: string, other: string): boolean => place(cursor) > place(other);

const place = (cursor: string) => {
  const [epoch, seq] = cursor.split('.');
  return +epoch! * 1e12 + +seq!;
};

/** What an access token says of itself, unchecked. */
export function claims(token: unknown): { user_id?: string; exp?: number } {
  try {
    return JSON.parse(atob(String(token).split('.')[1]!.replace(/-/g, '+').replace(/_/g, '/')));
  } catch {
    return {};
  }
}
