// One open room: joins its socket, timeline and outbox, and tells the view when something changed.

import * as api from './api.js';
import { errorText, serverText, t } from './i18n.js';
import { Outbox } from './outbox.js';
import { session } from './session.js';
import { RoomSocket } from './socket.js';
import { Timeline } from './timeline.js';
import { toast } from './dom.js';

const PAGE_SIZE = 20;
/** After an absence the newest page may not reach back to what is here; so many pages are tried before starting anew. */
const CATCH_UP_PAGES = 5;
const REFRESH_AGAIN_MS = 3_000;
const ECHO_WITHIN_MS = 15_000;
const TYPING_EVERY_MS = 2_000;
const TYPING_ENDS_MS = 3_000;
/** Somebody whose "stopped typing" got lost does not type for ever. */
const TYPING_FORGOTTEN_MS = 6_000;

export class Chat {
  /** `onChange(kind)`: what changed, `messages`, `people` or `state`. `onActivity()`: the room list should look again. */
  constructor(room, { onChange, onActivity }) {
    this.room = room;
    this.me = session().user;
    this.onChange = onChange;
    this.onActivity = onActivity;
    this.timeline = new Timeline(this.me.id);
    this.outbox = new Outbox(room.id);
    this.uploads = [];
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

  /** Leaves the room; a file on its way still goes through. */
  close() {
    this.closed = true;
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
      this.refresh();
      this.echoTimer ??= setInterval(() => this.checkEchoes(), 1000);
    } else {
      this.online.clear();
      this.typing.clear();
      this.typingSent = 0;
      this.outbox.lostConnection();
      this.editing?.fail('');
      if (!this.loaded && !this.refreshing) this.refresh();
    }
    this.changed('state');
  }

  /** Fetches the newest page, and more of them while they do not reach what is already here; then sends what waited. */
  async refresh() {
    if (this.refreshing) {
      this.refreshAgain = true;
      return;
    }
    this.refreshing = true;
    try {
      const known = new Set(this.timeline.list().map((message) => message.id));
      let page = await api.messages(this.room.id, 1);
      const fetched = [...page.results];
      const reaches = () => known.size === 0 || fetched.some((message) => known.has(message.id)) || !page.next;
      for (let number = 2; !reaches() && number <= CATCH_UP_PAGES; number += 1) {
        page = await api.messages(this.room.id, number);
        fetched.push(...page.results);
      }
      if (this.closed) return;
      if (!reaches()) this.timeline.clear();
      if (known.size === 0 || !reaches()) this.hasOlder = page.next !== null;
      this.timeline.merge(fetched);
      this.loaded = true;
      this.loadError = false;
      const fresh = fetched.filter((message) => message.sender.id === this.me.id && !known.has(message.id));
      this.outbox.settle(fresh.map((message) => this.timeline.get(message.id)).sort((a, b) => a.at - b.at));
      if (!document.hidden) this.readHistory();
    } catch {
      this.loadError = !this.loaded;
      if (this.socket.live && !this.closed) setTimeout(() => this.refresh(), REFRESH_AGAIN_MS);
    } finally {
      this.refreshing = false;
    }
    this.flush();
    this.changed('messages');
    if (this.refreshAgain) {
      this.refreshAgain = false;
      this.refresh();
    }
  }

  async loadOlder() {
    if (!this.loaded || !this.hasOlder || this.loadingOlder) return;
    this.loadingOlder = true;
    this.changed('messages');
    try {
      // New messages push older ones on to later pages, so the page follows from how many are here.
      const number = Math.floor(this.timeline.storedCount / PAGE_SIZE) + 1;
      const page = await api.messages(this.room.id, number);
      this.timeline.merge(page.results);
      this.hasOlder = page.next !== null;
    } catch (error) {
      if (error.status === 404) this.hasOlder = false;
    } finally {
      this.loadingOlder = false;
    }
    this.changed('messages');
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
        if (frame.is_typing === true) this.online.add(frame.user_id);
        this.setTyping(frame.user_id, frame.is_typing === true);
        return this.changed('people');
      case 'error':
        return this.refused(frame.message ?? frame.error);
      default:
        if (this.timeline.apply(frame)) this.applied(frame);
    }
  }

  applied(frame) {
    if (frame.type === 'chat_message') {
      const { sender } = frame.message;
      if (sender.id === this.me.id) {
        this.outbox.confirm(frame.message);
      } else {
        this.online.add(sender.id);
        this.setTyping(sender.id, false);
        this.changed('people');
      }
    }
    if (frame.type === 'message_edited' && this.editing?.id === frame.message.id) this.editing.done();
    this.changed('messages');
    this.onActivity();
  }

  /** An error frame does not say what it answers: an edit under way, else the oldest message under way. */
  refused(text) {
    const shown = serverText(text);
    if (this.editing) this.editing.fail(shown);
    else if (this.outbox.failOldest(shown)) this.changed('messages');
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
    this.outbox.mark(entry, 'waiting');
    this.flush();
    this.changed('messages');
  }

  discard(entry) {
    this.outbox.remove(entry);
    this.changed('messages');
  }

  /** Sends whatever waits, but not past an unsure one: history first has to say whether that one arrived. */
  flush() {
    if (this.outbox.entries.some((entry) => entry.status === 'unsure')) return;
    for (const entry of this.outbox.entries.filter((one) => one.status === 'waiting')) {
      const frame = { type: 'chat_message', content: entry.content, message_type: 'text', reply_to: entry.replyTo?.id ?? null };
      if (!this.socket.send(frame)) return;
      this.outbox.sent(entry, this.timeline.list().at(-1)?.at ?? 0);
    }
  }

  checkEchoes() {
    const late = this.outbox.entries.filter((entry) => entry.status === 'sent' && Date.now() - entry.sentAt > ECHO_WITHIN_MS);
    if (late.length === 0) return;
    // The echo may be lost while the row is stored: history decides.
    this.outbox.lostConnection();
    this.refresh();
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

  /** Called on each key: says so at most every two seconds, and that it ended three seconds after the last. */
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

  /** One message that came into sight. */
  seen(message) {
    if (message.is_read || message.sender.id === this.me.id) return;
    if (this.socket.send({ type: 'read_message', message_id: message.id })) message.is_read = true;
  }

  /** Everything that arrived while nobody looked, in one request instead of a frame a message. */
  readHistory() {
    const unread = this.timeline.list().filter((message) => !message.is_read && message.sender.id !== this.me.id);
    if (unread.length === 0) return;
    for (const message of unread) message.is_read = true;
    api.markAsRead(this.room.id).then(() => this.onActivity(), () => {});
  }

  upload(file, caption) {
    const kind = file.type.split('/')[0];
    const upload = { key: `${Date.now()}-${Math.random()}`, file, kind, caption, status: 'sending', share: 0, error: '', preview: kind === 'image' ? URL.createObjectURL(file) : null };
    this.uploads.push(upload);
    this.startUpload(upload);
  }

  async startUpload(upload) {
    Object.assign(upload, { status: 'sending', share: 0, error: '', abort: new AbortController() });
    this.changed('messages');
    const { file, kind, caption } = upload;
    const onProgress = (share) => {
      upload.share = share;
      upload.onShare?.(share);
    };
    try {
      const fields = { [kind]: file, message_type: kind, content: caption };
      const message = await api.upload(this.room.id, fields, onProgress, upload.abort.signal);
      this.timeline.merge([message]);
      this.discardUpload(upload);
    } catch (error) {
      Object.assign(upload, { status: 'failed', error: errorText(error) });
      if (this.closed) toast(`${file.name}: ${upload.error}`);
    }
    this.changed('messages');
  }

  discardUpload(upload) {
    upload.abort.abort();
    this.uploads = this.uploads.filter((one) => one !== upload);
    if (upload.preview) URL.revokeObjectURL(upload.preview);
    this.changed('messages');
  }
}
