// The signed-in person, stored per tab, so that two tabs can be two people.

import { forget, readObject, write } from './storage.js';

const KEY = 'pregon.session';

let current = readObject(KEY);

/** `{ user, access, refresh }`, or null when nobody is signed in. */
export function session() {
  return current;
}

/** Starts a session, or changes some of its fields. */
export function saveSession(fields) {
  current = { ...current, ...fields };
  write(KEY, JSON.stringify(current));
}

/** Forgets the person and everything that the tab stored for them, drafts included. */
export function endSession() {
  current = null;
  forget('pregon.');
}

/** Unix seconds at which the access token expires; 0 if it cannot be read. */
export function accessExpiry() {
  try {
    const payload = current.access.split('.')[1].replaceAll('-', '+').replaceAll('_', '/');
    return JSON.parse(atob(payload)).exp ?? 0;
  } catch {
    return 0;
  }
}
