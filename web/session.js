// Who is signed in: kept per tab, so that two tabs can be two people.

const KEY = 'pregon.session';

let current = read();

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(KEY));
  } catch {
    return null;
  }
}

/** `{ user, access, refresh }`, or null when nobody is signed in. */
export function session() {
  return current;
}

/** Starts a session, or changes some of its fields. */
export function saveSession(fields) {
  current = { ...current, ...fields };
  sessionStorage.setItem(KEY, JSON.stringify(current));
}

/** Forgets the person and everything the tab kept for them, drafts included. */
export function endSession() {
  current = null;
  for (const key of Object.keys(sessionStorage)) {
    if (key.startsWith('pregon.')) sessionStorage.removeItem(key);
  }
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
