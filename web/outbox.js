// What was typed but not yet confirmed, room by room; survives a reload, so nothing typed is lost.

const prefix = 'pregon.outbox.';
const draftPrefix = 'pregon.draft.';

/**
 * Entries: `{ key, content, replyTo, status, error, sentAt, after }`. `waiting` has not been sent, `sent` awaits its
 * echo, `unsure` lost its connection meanwhile, `failed` waits for the person's decision. `after` is the server's time of
 * the newest message known when it was sent: its own row can only be newer, whatever the browser's clock says.
 */
export class Outbox {
  constructor(roomId) {
    this.name = prefix + roomId;
    this.entries = load(this.name);
    // After a reload nobody waits for the echoes of the last page any more; history will tell.
    for (const entry of this.entries) if (entry.status === 'sent') entry.status = 'unsure';
  }

  add(content, replyTo) {
    const key = `${Date.now()}-${Math.random()}`;
    const entry = { key, content, replyTo, status: 'waiting', error: '', sentAt: 0, after: 0 };
    this.entries.push(entry);
    this.save();
    return entry;
  }

  mark(entry, status, error = '') {
    entry.status = status;
    entry.error = error;
    this.save();
  }

  sent(entry, after) {
    Object.assign(entry, { sentAt: Date.now(), after });
    this.mark(entry, 'sent');
  }

  remove(entry) {
    this.entries = this.entries.filter((one) => one !== entry);
    this.save();
  }

  /** An own message arrived: the first entry with its text is the one it confirms. */
  confirm(message) {
    const same = this.entries.filter((one) => one.status !== 'waiting' && one.content === message.content);
    const entry = same.find((one) => one.status === 'sent') ?? same[0];
    if (entry) this.remove(entry);
  }

  /** The connection broke: whatever was under way may or may not have been stored. */
  lostConnection() {
    for (const entry of this.entries) if (entry.status === 'sent') entry.status = 'unsure';
    this.save();
  }

  /** Own messages that were not here before: entries still in doubt are confirmed if among them, else failed. */
  settle(newOwnMessages) {
    const unused = [...newOwnMessages];
    const inDoubt = (one) => one.status === 'unsure' || (one.status === 'failed' && one.error === '');
    for (const entry of this.entries.filter(inDoubt)) {
      const found = unused.findIndex((one) => one.content === entry.content && one.at > entry.after);
      if (found >= 0) {
        unused.splice(found, 1);
        this.remove(entry);
      } else {
        this.mark(entry, 'failed');
      }
    }
  }

  /** An error frame names no message; frames are answered in order, so it means the oldest one under way. */
  failOldest(text) {
    const entry = this.entries.find((one) => one.status === 'sent');
    if (entry) this.mark(entry, 'failed', text);
    return entry !== undefined;
  }

  save() {
    if (this.entries.length === 0) sessionStorage.removeItem(this.name);
    else sessionStorage.setItem(this.name, JSON.stringify(this.entries));
  }
}

function load(name) {
  try {
    return JSON.parse(sessionStorage.getItem(name)) ?? [];
  } catch {
    return [];
  }
}

/** How many messages of a room still wait here. */
export function unsentCount(roomId) {
  return load(prefix + roomId).length;
}

export function draft(roomId) {
  return sessionStorage.getItem(draftPrefix + roomId) ?? '';
}

export function saveDraft(roomId, text) {
  if (text === '') sessionStorage.removeItem(draftPrefix + roomId);
  else sessionStorage.setItem(draftPrefix + roomId, text);
}
