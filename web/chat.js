// An open room: the client's store of it, the files that are being sent, and what the view asks of them.

import * as api from './api.js';
import { toast } from './dom.js';
import { errorText, serverText, t } from './i18n.js';
import { live, stateOf } from './live.js';
import { room as roomOf } from './pregon.js';
import { uploadsOf } from './room_uploads.js';
import { session } from './session.js';

/** How far back a click on a quote may load: a thousand messages. */
const REACH_PAGES = 50;
/** Older messages that did not come are asked for again at the earliest after this time. */
const OLDER_AGAIN_MS = 3_000;
/** What changes the room list, too. */
const ACTIVITY = ['message', 'message_edited', 'message_deleted', 'message_read', 'message_reaction', 'room_changed'];

export class Chat {
  /**
   * `onChange(kind)` is called after a change of `messages`, `people` or `state`; `onActivity()` when the room list
   * should be loaded again; `onDeleted(id)` after a message was deleted.
   */
  constructor(room, { onChange, onActivity, onDeleted }) {
    this.room = room;
    this.me = session().user;
    this.onChange = onChange;
    this.store = roomOf(live(), room.id);
    this.uploads = uploadsOf(room.id);
    this.uploads.isShown = true;
    this.shown = this.store.get();
    this.leave = [
      this.store.subscribe(() => this.stored()),
      live().connection.subscribe(() => this.changed('state')),
      this.store.onEvent((event) => {
        if (event.type === 'message_deleted') onDeleted(event.message_id);
        if (ACTIVITY.includes(event.type)) onActivity();
      }),
    ];
  }

  /** Leaves the room. A file being uploaded is still sent. */
  close() {
    this.closed = true;
    this.uploads.isShown = false;
    this.store.setTyping(false);
    for (const leave of this.leave) leave();
  }

  changed(kind) {
    if (!this.closed) this.onChange(kind);
  }

  stored() {
    const before = this.shown;
    const now = (this.shown = this.store.get());
    if (now.presence !== before.presence || now.typing !== before.typing) this.changed('people');
    if (now.status !== before.status || now.error !== before.error) this.changed('state');
    if (['messages', 'hasOlder', 'unread', 'gap', 'status'].some((key) => now[key] !== before[key])) this.changed('messages');
  }

  // ── What is shown ─────────────────────────────────────────────────────────────────────────────

  get state() {
    return stateOf(this.store.get());
  }

  get isLive() {
    return this.store.get().status === 'live';
  }

  get loaded() {
    return this.store.get().status !== 'loading';
  }

  get loadError() {
    return !this.loaded && this.store.get().error !== null;
  }

  get hasOlder() {
    return this.store.get().hasOlder;
  }

  /** Stored messages, oldest first. */
  list() {
    return this.store.get().messages.filter((message) => message.state === 'sent');
  }

  get(id) {
    return this.list().find((message) => message.id === id);
  }

  lastOwn() {
    return this.list().findLast((message) => message.sender.id === this.me.id && message.message_type === 'text');
  }

  /** Texts that are not stored yet: `{ key, status, error, content, replyTo, at }`. */
  unsent() {
    const status = this.isLive ? 'sent' : 'waiting';
    return this.store.get().messages.filter((message) => message.state !== 'sent').map((message) => ({
      key: message.client_id,
      status: message.state === 'failed' ? 'failed' : status,
      error: message.state === 'failed' ? serverText(message.error?.text, t('notSent')) : '',
      content: message.content,
      replyTo: message.reply_to,
      at: Date.parse(message.created_at),
    }));
  }

  /** The ids of those who are here. */
  get online() {
    return new Set(this.store.get().presence.users.map((user) => user.id));
  }

  /** The ids of those who are typing. */
  get typing() {
    return new Set(this.store.get().typing.map((user) => user.id));
  }

  /** Events name people by their username where REST has the name that they show. */
  nameOf(username) {
    const people = [...this.room.participants.map((one) => one.user), ...this.list().map((message) => message.sender)];
    return people.find((user) => user.username === username)?.display_name ?? username;
  }

  // ── History ───────────────────────────────────────────────────────────────────────────────────

  loadOlder() {
    const isSoon = Date.now() - (this.olderFailedAt ?? 0) < OLDER_AGAIN_MS;
    if (this.loaded && this.hasOlder && !isSoon) this.loadingOlder ??= this.fetchOlder();
    return this.loadingOlder;
  }

  async fetchOlder() {
    // Lets the caller store `loadingOlder` before anything is drawn.
    await null;
    this.changed('messages');
    try {
      await this.store.loadOlder();
    } catch {
      this.olderFailedAt = Date.now();
    } finally {
      this.loadingOlder = null;
    }
    this.changed('messages');
  }

  /** Loads older messages until this one is here. Otherwise resolves to the reason why it is not. */
  async reach(id) {
    try {
      await api.message(this.room.id, id);
    } catch (error) {
      return error.status === 404 ? t('deletedText') : errorText(error);
    }
    for (let pages = 0; pages < REACH_PAGES && !this.closed && !this.get(id) && this.hasOlder; pages += 1) {
      const before = this.list().length;
      await this.loadOlder();
      if (this.list().length === before) break;
    }
    return this.closed || this.get(id) ? '' : t('tooFarBack');
  }

  // ── What goes out ─────────────────────────────────────────────────────────────────────────────

  send(content, replyTo) {
    this.store.send(content, { replyTo: replyTo?.id ?? null });
  }

  retry(entry) {
    this.store.retry(entry.key);
  }

  discard(entry) {
    this.store.remove(entry.key);
  }

  react(message, type) {
    this.store.react(message.id, type).catch(failed);
  }

  remove(message) {
    this.store.remove(message.id).catch(failed);
  }

  /** Resolves to '' once everybody has the new text, or to the reason why it stays in the composer. */
  async edit(message, content) {
    if (content === message.content) return '';
    try {
      await this.store.edit(message.id, content);
      return '';
    } catch (error) {
      return error.code === 'offline' ? t('editOffline') : errorText(error);
    }
  }

  /** Called on each key. */
  keyPressed() {
    this.store.setTyping(true);
  }

  get unread() {
    return this.store.get().unread;
  }

  /** All that is here was seen. */
  read() {
    this.store.markRead();
  }
}

function failed(error) {
  toast(error.code === 'offline' ? t('offline') : errorText(error));
}
