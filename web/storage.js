// What this tab keeps over a reload; where the browser lets nothing be kept, it lasts as long as the page.

/** What could not be stored: cookies are blocked, or the storage is full. It wins over an older stored value. */
const unstored = new Map();

export function read(key) {
  if (unstored.has(key)) return unstored.get(key);
  try {
    return sessionStorage.getItem(key);
  } catch {
    return null;
  }
}

/** Keeps a text under a key; null removes it. */
export function write(key, text) {
  unstored.delete(key);
  try {
    if (text === null) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, text);
  } catch {
    unstored.set(key, text);
  }
}

/** The stored object, or null where there is none that can be read. */
export function readObject(key) {
  try {
    return JSON.parse(read(key));
  } catch {
    return null;
  }
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
