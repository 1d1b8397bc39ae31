// Texts that were typed but are not confirmed, by room; they survive a reload, so no typed text is lost.

import { read, readObject, write } from './storage.js';

const prefix = 'pregon.outbox.';
const draftPrefix = 'pregon.draft.';
/** The server knows a repeated `client_id` for 24 hours; after that a repetition would be a second message. */
const REPEATABLE_MS = 23 * 3_600_000;

/**
 * Entries: `{ key, content, replyTo, status, error, at, sentAt }`. `waiting` is sent as soon as there is a connection,
 * `sent` awaits its echo, `failed` awaits the user's decision. The key is sent as `client_id`: the server stores a text
 * once, however often it comes, so a text that was under way when a connection broke is simply sent again. `at` is when
 * it was written; `sentAt` when it was last sent, 0 if never.
 */
export class Outbox {
  constructor(roomId) {
    this.name = prefix + roomId;
    this.entries = readObject(this.name) ?? [];
    this.confirmed = new Set();
    this.again();
  }

  add(content, replyTo) {
    const entry = { key: uniqueId(), content, replyTo, status: 'waiting', error: '', at: Date.now(), sentAt: 0 };
    this.entries.push(entry);
    this.save();
    return entry;
  }

  mark(entry, status, error = '') {
    entry.status = status;
    entry.error = error;
    this.save();
  }

  /** The user wants it sent after all; a refused text becomes a new message. */
  retry(entry) {
    Object.assign(entry, { key: uniqueId(), at: Date.now(), sentAt: 0 });
    this.mark(entry, 'waiting');
  }

  sent(entry) {
    entry.sentAt = Date.now();
    this.mark(entry, 'sent');
  }

  remove(entry) {
    this.entries = this.entries.filter((one) => one !== entry);
    this.save();
  }

  /**
   * The user's own message arrived. Its frame has the name under which this or another page sent it, if any. If a
   * server returns no names, each message confirms the oldest entry with its text, once.
   */
  confirm(message, clientId) {
    if (clientId !== undefined) this.saysNames = true;
    const isMeant = this.saysNames
      ? (one) => one.key === clientId
      : (one) => one.status === 'sent' && one.content === message.content && !this.confirmed.has(message.id);
    const entry = this.entries.find(isMeant);
    if (!entry) return;
    this.confirmed.add(message.id);
    this.remove(entry);
  }

  /** No echo will come any more for sent texts: they are sent again or, if it is too late, left to the user. */
  again() {
    for (const entry of this.entries.filter((one) => one.status === 'sent')) {
      entry.status = Date.now() - entry.at < REPEATABLE_MS ? 'waiting' : 'failed';
    }
    this.save();
  }

  /**
   * The server refused the text of this name. Without a name it is the oldest one under way, because answers come in
   * order.
   */
  refuse(clientId, text) {
    const isMeant = clientId === undefined ? (one) => one.status === 'sent' : (one) => one.key === clientId;
    const entry = this.entries.find(isMeant);
    if (entry) this.mark(entry, 'failed', text);
    return entry !== undefined;
  }

  save() {
    write(this.name, this.entries.length === 0 ? null : JSON.stringify(this.entries));
  }
}

/** A unique name. `crypto.randomUUID` does not exist on pages without TLS. */
export function uniqueId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** The number of messages of a room that still wait here. */
export function unsentCount(roomId) {
  return readObject(prefix + roomId)?.length ?? 0;
}

export function draft(roomId) {
  return read(draftPrefix + roomId) ?? '';
}

export function saveDraft(roomId, text) {
  write(draftPrefix + roomId, text === '' ? null : text);
}
