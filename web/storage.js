// Stores what a tab keeps over a reload. If the browser allows no storage, it lasts as long as the page.

/**
 * Values that could not be stored, because cookies are blocked or the storage is full. They win over older stored
 * values.
 */
const unstored = new Map();

export function read(key) {
  if (unstored.has(key)) return unstored.get(key);
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

/** Stores a text under a key; null removes it. */
export function write(key, text) {
  unstored.delete(key);
  try {
    if (text === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, text);
  } catch {
    unstored.set(key, text);
  }
}

/** The stored object, or null if there is none or it cannot be read. */
export function readObject(key) {
  try {
    return JSON.parse(read(key));
  } catch {
    return null;
  }
}

/** A unique name. `crypto.randomUUID` does not exist on pages without TLS. */
export function uniqueId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Removes every key that begins with `prefix`. */
export function forget(prefix) {
  const keys = [...unstored.keys()];
  try {
    keys.push(...Object.keys(sessionStorage));
  } catch {
    // Nothing was stored.
  }
  for (const key of keys) if (key.startsWith(prefix)) write(key, null);
}
