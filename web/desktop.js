// Notes on the desktop while nobody looks at the page, if the person wants them.

import { t } from './i18n.js';
import { personAddress } from './person_row.js';
import { notifies } from './prefs.js';
import { isMuted, previewText } from './rooms_view.js';
import { session } from './session.js';

export class DesktopNotes {
  /** `isRead(roomId)`: the room is open. */
  constructor({ isRead }) {
    this.isRead = isRead;
    /** The newest message that was seen in each room. */
    this.seen = null;
    this.open = new Set();
  }

  close() {
    for (const note of this.open) note.close();
  }

  /** The list of rooms as it is now. What was there when the page was opened is not new. */
  rooms(rooms) {
    const before = this.seen;
    this.seen = new Map(before ?? []);
    for (const room of rooms) {
      const last = room.last_message;
      if (!last) continue;
      const isNew = before && before.get(room.id) !== last.id && Date.parse(last.created_at) > (this.since ?? 0);
      this.seen.set(room.id, last.id);
      const isOwn = last.sender.username === session().user.username;
      const isLookedAt = !document.hidden && this.isRead(room.id);
      if (!isNew || isOwn || isLookedAt || isMuted(room) || room.unread_count === 0) continue;
      const { display_name: name } = last.sender;
      const title = room.chat_type === 'private' ? name : t('newMessageFrom', { name, room: room.display_name });
      this.show(title, previewText(last), `room ${room.id}`, `#/chat/${room.id}`);
    }
    this.since ??= Math.max(0, ...rooms.map((room) => Date.parse(room.last_message?.created_at ?? 0)));
  }

  /** A notification of the bell. */
  notification(one, text) {
    this.show('pregon', text, `bell ${one.id}`, one.post_id ? `#/post/${one.post_id}` : personAddress(one.sender.username));
  }

  /** The same tag in another tab replaces this one. */
  show(title, body, tag, hash) {
    if (!notifies() || (!document.hidden && document.hasFocus())) return;
    const note = new Notification(title, { body, tag, icon: new URL('logo.svg', import.meta.url).href });
    this.open.add(note);
    note.addEventListener('close', () => this.open.delete(note));
    note.addEventListener('click', () => {
      focus();
      location.hash = hash;
      note.close();
    });
  }
}
