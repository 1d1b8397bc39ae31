// The signed-in person: of this tab alone, so that two tabs can be two people, or, by choice, of this browser.

import { forget, read, readObject, write } from './storage.js';

const KEY = 'pregon.session';

/** A tab's own person comes first. */
let where = read(KEY) === null ? 'device' : 'tab';
let current = readObject(KEY, where);

/** `{ user, access, refresh }`, or null when nobody is signed in. */
export function session() {
  return current;
}

/** Whether the person stays signed in when the tab is closed, and is in other tabs, too. */
export const stays = () => where === 'device';

/** Starts a session. `stay`: it is kept in this browser, also for other tabs. */
export function beginSession(fields, stay) {
  where = stay ? 'device' : 'tab';
  if (stay) write(KEY, null);
  current = null;
  saveSession(fields);
}

/** Changes some of the session's fields. */
export function saveSession(fields) {
  const isNew = current === null;
  current = { ...current, ...fields };
  // Somebody else may have signed in to the browser meanwhile; this tab goes on as it is.
  if (where === 'tab' || isNew || readObject(KEY, where)?.user.id === current.user.id) write(KEY, JSON.stringify(current), where);
}

/** What another tab has stored meanwhile; false if this tab knows it already. */
export function readAgain() {
  if (!stays()) return false;
  const stored = readObject(KEY, 'device');
  // Another tab has signed out, or somebody else has signed in there: that is for the tab's owner to see first.
  if (!stored || !current || stored.user.id !== current.user.id || stored.access === current.access) return false;
  current = stored;
  return true;
}

/** Forgets the person and everything that the tab stored for them, drafts included. */
export function endSession() {
  const mine = current?.user.id;
  current = null;
  forget('pregon.');
  if (stays() && readObject(KEY, 'device')?.user.id === mine) write(KEY, null, 'device');
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
