// The live connection of the signed-in person, which all tabs of that person share: the client of ../client.

import { freshAccess, renew } from './api.js';
import { createClient } from './pregon.js';
import { endSession, session } from './session.js';

let client = null;

/** The client of the signed-in person. */
export function live() {
  if (client) return client;
  const mine = createClient({ user: session().user.id, protocol: 'v1', getToken });
  client = mine;
  mine.connection.subscribe(() => {
    // Signed out in another tab.
    if (client !== mine || mine.connection.get().error?.code !== 'logged_out' || !session()) return;
    endSession();
    dispatchEvent(new Event('pregon:signedout'));
  });
  return mine;
}

/** Null where nobody is signed in; fails where the server does not answer, and is asked again then. */
async function getToken({ reason }) {
  if (reason === 'rejected') await renew();
  return session() ? freshAccess() : null;
}

/** Hears nothing more. */
export function closeLive() {
  client?.close();
  client = null;
}

/** In all tabs; what is unsent is forgotten. */
export function logoutLive() {
  const mine = client;
  client = null;
  mine?.logout().finally(() => mine.close());
}

/** A topic's connection as labels show it: `connecting`, `live`, `waiting` (with `until`, ms), `offline`, `closed` (with `removed`, `text`). */
export function stateOf({ status, error }) {
  if (status === 'lost') return { name: 'closed', removed: true };
  const { state, retryAt: until, error: failure } = live().connection.get();
  const name = status === 'loading' ? state : status;
  if (name === 'waiting') return { name, until };
  if (name === 'closed') return { name, removed: false, text: (failure ?? error)?.text };
  return { name: name === 'offline' || status === 'live' ? name : 'connecting' };
}
