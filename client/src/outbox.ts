// Unsent messages in IndexedDB, by user and server; without storage they live as long as the page.

import type { Unsent } from './wire.js';

export interface Outbox {
  load(): Promise<Unsent[]>;
  put(unsent: Unsent): void;
  remove(client_id: string): void;
  clear(): void;
}

const STORE = 'unsent';

/**
 * `key` names user and server, so that nothing is ever sent for somebody else or to somewhere else. Without it nothing is kept: what
 * is unsent of a user of whom nothing is known would be found by nobody.
 */
export function openOutbox(key: string | undefined): Outbox {
  const name = (client_id: string) => `${key} ${client_id}`;
  const all = () => IDBKeyRange.bound(name(''), name('\uffff'));
  let database: Promise<IDBDatabase> | undefined;
  const open = () =>
    (database ??= new Promise((resolve, reject) => {
      const request = indexedDB.open('pregon', 1);
      request.onupgradeneeded = () => request.result.createObjectStore(STORE);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error);
    }));
  /** Storage may be missing, forbidden or full: then what is unsent is lost with the page, and nothing else. */
  const change = async <T>(work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T | undefined> => {
    if (!key) return;
    try {
      const store = (await open()).transaction(STORE, 'readwrite').objectStore(STORE);
      return await new Promise<T>((resolve, reject) => {
        const request = work(store);
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
      });
    } catch {}
  };
  return {
    load: async () => (await change((store) => store.getAll(all()))) ?? [],
    put: (unsent) => void change((store) => store.put(unsent, name(unsent.client_id))),
    remove: (client_id) => void change((store) => store.delete(name(client_id))),
    clear: () => void change((store) => store.delete(all())),
  };
}
