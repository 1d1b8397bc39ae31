// Starts the page: the login for visitors, the chats for the signed-in person.

import { authView } from './auth_view.js';
import { toast } from './dom.js';
import { language, t } from './i18n.js';
import { closeLive } from './live.js';
import { applyTheme } from './prefs.js';
import { endSession, session, stays } from './session.js';
import { Shell } from './shell.js';

const root = document.getElementById('app');
let shell = null;

function show() {
  shell?.close();
  shell = null;
  closeLive();
  if (session()) {
    shell = new Shell(root, { onSignedOut: show });
  } else {
    root.replaceChildren(authView({ onSignedIn: show }));
    document.title = 'pregon';
  }
}

document.documentElement.lang = language;
applyTheme();
addEventListener('pregon:signedout', () => {
  toast(t('signedOut'));
  show();
});
// Another tab has signed out.
addEventListener('storage', (event) => {
  if (event.key !== 'pregon.session' || event.newValue !== null || !session() || !stays()) return;
  endSession();
  dispatchEvent(new Event('pregon:signedout'));
});
show();
