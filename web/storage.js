// Stores what a tab keeps over a reload, and what this browser keeps for all tabs. If the browser allows no storage, it lasts as long as the page.

const AREAS = { tab: () => sessionStorage, device: () => localStorage };

/**
 * Values that could not be stored, because cookies are blocked or the storage is full. They win over older stored
 * values.
 */
const unstored = new Map();

/** `where`: `tab` or `device`. */
export function read(key, where = 'tab') {
  if (unstored.has(`${where} ${key}`)) return unstored.get(`${where} ${key}`);
  try {
    return AREAS[where]().getItem(key);
  } catch {
    return null;
  }
}

/** Stores a text under a key; null removes it. */
export function write(key, text, where = 'tab') {
  unstored.delete(`${where} ${key}`);
  try {
    if (text === null) AREAS[where]().removeItem(key);
    else AREAS[where]().setItem(key, text);
  } catch {
    unstored.set(`${where} ${key}`, text);
  }
}

/** The stored object, or null if there is none or it cannot be read. */
export function readObject(key, where = 'tab') {
  try {
    return JSON.parse(read(key, where));
  } catch {
    return null;
  }
}

/** A unique name. `crypto.randomUUID` does not exist on pages without TLS. */
export function uniqueId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Removes every key of the tab that begins with `prefix`. */
export function forget(prefix) {
  const keys = [...unstored.keys()].filter((key) => key.startsWith('tab ')).map((key) => key.slice(4));
  try {
    keys.push(...Object.keys(sessionStorage));
  } catch {
    // Nothing was stored.
  }
  for (const key of keys) if (key.startsWith(prefix)) write(key, null);
}
