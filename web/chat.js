// An open room: connects its socket, timeline and outbox, and tells the view about changes.

import * as api from './api.js';
import { errorText, serverText, t } from './i18n.js';
import { Outbox } from './outbox.js';
import { uploadsOf } from './room_uploads.js';
import { session } from './session.js';
import { RoomSocket } from './socket.js';
import { Timeline } from './timeline.js';
import { toast } from './dom.js';

const PAGE_SIZE = 20;
/**
 * After an absence the newest page may not reach the known messages. This many pages are tried before starting over.
 */
const CATCH_UP_PAGES = 5;
/** The most pages that one check of the visible messages loads; a window shows a few dozen messages. */
const FRESHEN_PAGES = 10;
/** How far back a click on a quote may load: a thousand messages. */
const REACH_PAGES = 50;
const REFRESH_AGAIN_MS = 3_000;
const ECHO_WITHIN_MS = 15_000;
const TYPING_EVERY_MS = 2_000;
const TYPING_ENDS_MS = 3_000;
/** If "stopped typing" gets lost, the indicator ends after this time. */
const TYPING_FORGOTTEN_MS = 6_000;

export class Chat {
  /**
   * `onChange(kind)` is called after a change of `messages`, `people` or `state`; `onActivity()` when the room list
   * should be loaded again; `onDeleted(id)` after a message was deleted.
   */
  constructor(room, { onChange, onActivity, onDeleted }) {
    this.room = room;
    this.me = session().user;
    this.onChange = onChange;
    this.onActivity = onActivity;
    this.onDeleted = onDeleted;
    this.timeline = new Timeline(this.me.id);
    this.outbox = new Outbox(room.id);
    this.uploads = uploadsOf(room.id);
    this.uploads.onStored = (message) => this.timeline.merge([message]);
    this.online = new Set();
    this.typing = new Map();
    this.hasOlder = true;
    this.loaded = false;
    this.editing = null;
    this.socket = new RoomSocket(room.id, {
      onFrame: (frame) => this.receive(frame),
      onState: (state) => this.stateChanged(state),
    });
  }

  /** Leaves the room. A file being uploaded is still sent. */
  close() {
    this.closed = true;
    this.uploads.onStored = null;
    this.stopTyping();
    this.socket.close();
    clearInterval(this.echoTimer);
    for (const timer of this.typing.values()) clearTimeout(timer);
  }

  changed(kind) {
    if (!this.closed) this.onChange(kind);
  }

  // ── Connection and history ────────────────────────────────────────────────────────────────────

  stateChanged(state) {
    if (state.name === 'live') {
      this.flush();
      this.refresh();
      this.echoTimer ??= setInterval(() => this.checkEchoes(), 1000);
    } else {
      this.online.clear();
      this.typing.clear();
      this.typingSent = 0;
      this.outbox.again();
      this.editing?.fail('');
      if (!this.loaded && !this.refreshing) this.refresh();
    }
    this.changed('state');
  }

  /** Loads the newest page, and more of them until they reach the known messages. */
  async refresh() {
    if (this.refreshing) {
      this.refreshAgain = true;
      return;
    }
    this.refreshing = true;
    try {
      const known = new Set(this.timeline.list().map((message) => message.id));
      this.timeline.doubt();
      const pages = [await api.messages(this.room.id, 1)];
      const reaches = () => known.size === 0 || pages.at(-1).next === null || pages.at(-1).results.some((message) => known.has(message.id));
      while (!reaches() && pages.length < CATCH_UP_PAGES) pages.push(await api.messages(this.room.id, pages.length + 1));
      if (this.closed) return;
      if (!reaches()) this.timeline.clear();
      if (known.size === 0 || !reaches()) this.hasOlder = pages.at(-1).next !== null;
      pages.forEach((page, index) => this.timeline.mergePage(page, index === 0));
      this.loaded = true;
      this.loadError = false;
      if (!document.hidden) this.readHistory();
    } catch {
      this.loadError = !this.loaded;
      if (this.socket.live && !this.closed) setTimeout(() => this.refresh(), REFRESH_AGAIN_MS);
    } finally {
      this.refreshing = false;
    }
    this.changed('messages');
    if (this.refreshAgain) {
      this.refreshAgain = false;
      this.refresh();
    }
  }

  /**
   * After an absence: checks the visible messages that the newest pages did not hold. `inSight()` returns the ids of
   * the first and the last one. Messages further up are checked once somebody scrolls there.
   */
  async freshen(inSight) {
    if (this.freshening || this.refreshing || !this.socket.live || !this.timeline.hasDoubt) return;
    this.freshening = true;
    try {
      for (let asked = 0; asked < FRESHEN_PAGES && !this.closed; asked += 1) {
        const message = this.timeline.inDoubt(...inSight());
        if (!message) break;
        await this.askAgain(message);
        this.changed('messages');
      }
    } catch {
      // No answer. The next scroll or connection tries again.
    } finally {
      this.freshening = false;
    }
  }

  /**
   * The page of a message, counted from the known messages. After deletions it may be on another page; then the message
   * itself is loaded.
   */
  async askAgain(message) {
    const number = Math.floor(this.timeline.newerThan(message) / PAGE_SIZE) + 1;
    try {
      this.timeline.mergePage(await api.messages(this.room.id, number), number === 1);
      if (this.timeline.get(message.id)?.inDoubt) {
        this.timeline.merge([await api.message(this.room.id, message.id)]);
        message.inDoubt = false;
      }
    } catch (error) {
      if (error.status !== 404) throw error;
      this.timeline.remove(message.id);
    }
  }

  loadOlder() {
    if (this.loaded && this.hasOlder) this.loadingOlder ??= this.fetchOlder();
    return this.loadingOlder;
  }

  async fetchOlder() {
    // Lets the caller store `loadingOlder` before anything is drawn.
    await null;
    this.changed('messages');
    try {
      // New messages push older ones to later pages, so the page number follows from the number of known messages.
      const number = Math.floor(this.timeline.list().length / PAGE_SIZE) + 1;
      const page = await api.messages(this.room.id, number);
      this.timeline.merge(page.results);
      this.hasOlder = page.next !== null;
    } catch (error) {
      if (error.status === 404) this.hasOlder = false;
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
    for (let pages = 0; pages < REACH_PAGES && !this.closed && !this.timeline.get(id) && this.hasOlder; pages += 1) {
      const before = this.timeline.list().length;
      await this.loadOlder();
      if (this.timeline.list().length === before) break;
    }
    return this.closed || this.timeline.get(id) ? '' : t('tooFarBack');
  }

  // ── What arrives ──────────────────────────────────────────────────────────────────────────────

  receive(frame) {
    switch (frame.type) {
      case 'user_status':
        if (frame.status === 'online') this.online.add(frame.user_id);
        else {
          this.online.delete(frame.user_id);
          this.setTyping(frame.user_id, false);
        }
        return this.changed('people');
      case 'typing_status':
        this.setTyping(frame.user_id, frame.is_typing === true);
        return this.changed('people');
      case 'error':
        return this.refused(frame);
      default:
        if (this.timeline.apply(frame)) this.applied(frame);
    }
  }

  applied(frame) {
    if (frame.type === 'chat_message') {
      const { sender } = frame.message;
      if (sender.id === this.me.id) {
        this.outbox.confirm(frame.message, frame.client_id);
      } else {
        this.setTyping(sender.id, false);
        this.changed('people');
      }
    }
    if (frame.type === 'message_edited' && this.editing?.id === frame.message.id) this.editing.done();
    if (frame.type === 'message_deleted') this.onDeleted(frame.message_id);
    this.changed('messages');
    this.onActivity();
  }

  /**
   * An error frame may name the message that it refuses. If not, it means a running edit, or else the oldest message
   * under way.
   */
  refused(frame) {
    const shown = serverText(frame.message ?? frame.error);
    if (frame.client_id === undefined && this.editing) this.editing.fail(shown);
    else if (this.outbox.refuse(frame.client_id, shown)) this.changed('messages');
    else toast(shown);
  }

  setTyping(userId, isTyping) {
    clearTimeout(this.typing.get(userId));
    this.typing.delete(userId);
    if (!isTyping || userId === this.me.id) return;
    const forget = () => {
      this.typing.delete(userId);
      this.changed('people');
    };
    this.typing.set(userId, setTimeout(forget, TYPING_FORGOTTEN_MS));
  }

  // ── What goes out ─────────────────────────────────────────────────────────────────────────────

  send(content, replyTo) {
    const reply = replyTo && { id: replyTo.id, name: replyTo.sender.display_name, content: replyTo.content, type: replyTo.message_type };
    this.outbox.add(content, reply);
    this.stopTyping();
    this.flush();
    this.changed('messages');
  }

  retry(entry) {
    this.outbox.retry(entry);
    this.flush();
    this.changed('messages');
  }

  discard(entry) {
    this.outbox.remove(entry);
    this.changed('messages');
  }

  /** Sends everything that waits, in the order in which it was written. */
  flush() {
    for (const entry of this.outbox.entries.filter((one) => one.status === 'waiting')) {
      const frame = { type: 'chat_message', content: entry.content, message_type: 'text', reply_to: entry.replyTo?.id ?? null, client_id: entry.key };
      if (!this.socket.send(frame)) return;
      this.outbox.sent(entry);
    }
  }

  /** The echo may have been lost. The text is sent again, and the server stores it once. */
  checkEchoes() {
    const isLate = (entry) => entry.status === 'sent' && Date.now() - entry.sentAt > ECHO_WITHIN_MS;
    if (!this.outbox.entries.some(isLate)) return;
    this.outbox.again();
    this.flush();
    this.changed('messages');
  }

  react(message, type) {
    if (!this.socket.send({ type: 'react_message', message_id: message.id, reaction_type: type })) toast(t('offline'));
  }

  remove(message) {
    if (!this.socket.send({ type: 'delete_message', message_id: message.id })) toast(t('offline'));
  }

  /** Resolves to '' once everybody has the new text, or to the reason why it stays in the composer. */
  edit(message, content) {
    if (content === message.content) return Promise.resolve('');
    return new Promise((resolve) => {
      const end = (answer) => {
        clearTimeout(timer);
        this.editing = null;
        resolve(answer);
      };
      const timer = setTimeout(() => end(t('failed')), ECHO_WITHIN_MS);
      this.editing = { id: message.id, done: () => end(''), fail: (text) => end(text || t('editOffline')) };
      const sent = this.socket.send({ type: 'edit_message', message_id: message.id, content });
      if (!sent) this.editing.fail('');
    });
  }

  /** Called on each key. Reports typing at most every two seconds, and its end three seconds after the last key. */
  keyPressed() {
    clearTimeout(this.typingTimer);
    this.typingTimer = setTimeout(() => this.stopTyping(), TYPING_ENDS_MS);
    if (Date.now() - (this.typingSent ?? 0) < TYPING_EVERY_MS) return;
    if (this.socket.send({ type: 'typing', is_typing: true })) this.typingSent = Date.now();
  }

  stopTyping() {
    clearTimeout(this.typingTimer);
    if (!this.typingSent) return;
    this.typingSent = 0;
    this.socket.send({ type: 'typing', is_typing: false });
  }

  /** A message came into sight. */
  seen(message) {
    if (message.is_read || message.sender.id === this.me.id) return;
    if (this.socket.send({ type: 'read_message', message_id: message.id })) message.is_read = true;
  }

  /** Marks everything that arrived meanwhile as read, in one request instead of one frame per message. */
  readHistory() {
    const unread = this.timeline.list().filter((message) => !message.is_read && message.sender.id !== this.me.id);
    if (unread.length === 0) return;
    for (const message of unread) message.is_read = true;
    api.markAsRead(this.room.id).then(() => this.onActivity(), () => {});
  }
}
