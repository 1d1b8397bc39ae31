// The open room on the page: its heading, its messages with their scrolling, and who is typing.

import { Chat } from './chat.js';
import { Composer } from './composer.js';
import { ConnectionLabel } from './connection.js';
import { h, fill, reconcile, toast } from './dom.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { live } from './live.js';
import { roomAvatar } from './media.js';
import { openMenu } from './message_menu.js';
import { revision, sentAt } from './message_data.js';
import { messageView, pendingView, uploadView } from './message_view.js';
import { personAddress } from './person_row.js';
import { openRoomDialog } from './room_dialog.js';
import { roomSearch } from './room_search.js';
import { dayKey, dayLabel } from './time.js';
import { typingDots, typingText } from './typing.js';

/** Messages of one sender this close together read as one turn. */
const RUN_MS = 5 * 60_000;
const NEAR_TOP_PX = 300;
const NEAR_BOTTOM_PX = 80;

export class ChatView {
  /** `onActivity()`: the list of rooms may show something new; `onRooms()`: it does. */
  constructor(room, { onActivity, onRooms }) {
    this.room = room;
    this.onRooms = onRooms;
    this.newBelow = 0;
    /** Whether the newest message stays in sight, whatever changes around it. */
    this.sticky = true;
    /** A smooth scroll to the bottom has not ended yet. */
    this.gliding = false;
    this.lastId = null;
    /** The person has just come here, or back to the window. */
    this.isBack = room.unread_count > 0;
    /** The first message above which the line of unread ones is drawn. */
    this.unreadFrom = null;
    this.title = h('div', { class: 'chat-title' });
    this.presence = h('p', { class: 'presence', data: { testid: 'presence' } });
    this.connection = new ConnectionLabel({ data: { testid: 'connection' } }, { onRetry: () => this.retryNow(), closedText: 'removed' });
    this.rows = h('ol', { class: 'messages', id: 'messages' });
    this.top = h('p', { class: 'top-note' });
    this.log = h('div', { class: 'log', id: 'log', role: 'log', tabindex: 0, 'aria-label': t('messagesOf', { name: room.display_name }) }, this.top, this.rows);
    this.down = h('button', { type: 'button', class: 'down', hidden: true, 'aria-label': t('toBottom'), onclick: () => this.toBottom(true) });
    this.typing = h('p', { class: 'typing', data: { testid: 'typing' } });
    this.on = {
      menu: (message, anchor) => openMenu(message, anchor, this.chat.me, this.on),
      react: (message, type) => this.chat.react(message, type),
      reply: (message) => this.composer.reply(message),
      edit: (message) => this.composer.edit(message),
      remove: (message) => this.chat.remove(message),
      jump: (id) => this.jump(id),
      nameOf: (username) => this.chat.nameOf(username),
    };
    this.chat = new Chat(room, { onChange: (kind) => this.draw(kind), onActivity, onDeleted: (id) => this.composer.messageDeleted(id) });
    this.composer = new Composer(this.chat);
    this.search = roomSearch(room.id, { onFound: (id) => this.jump(id) });
    this.element = h('section', { class: 'chat', id: 'chat', 'aria-label': room.display_name, data: { roomId: room.id } },
      h('header', { class: 'chat-head' },
        h('a', { href: '#/', class: 'icon-button back', id: 'back', 'aria-label': t('back') }, icon('back')),
        this.title, this.connection.element,
        h('button', { type: 'button', class: 'icon-button', id: 'search-room', 'aria-label': t('searchMessages'), title: t('searchMessages'), onclick: () => this.search.toggle() }, icon('search')),
        h('button', { type: 'button', class: 'icon-button', id: 'about-room', 'aria-label': t('about'), title: t('about'), onclick: () => this.about() }, icon('more'))),
      this.search.element, h('div', { class: 'log-box' }, this.log, this.down), this.typing, this.composer.element);
    this.listen();
    this.drawTitle();
    for (const kind of ['state', 'people', 'messages']) this.draw(kind);
  }

  listen() {
    this.listeners = new AbortController();
    const { signal } = this.listeners;
    this.log.addEventListener('scroll', () => this.scrolled(), { passive: true });
    for (const type of ['wheel', 'touchmove', 'keydown', 'pointerdown']) {
      this.log.addEventListener(type, () => (this.gliding = false), { passive: true });
    }
    addEventListener('pregon:uploads', () => this.draw('messages'), { signal });
    document.addEventListener('visibilitychange', () => this.looked(), { signal });
    // When a keyboard slides in or the composer grows, the newest message stays in sight.
    this.sizes = new ResizeObserver(() => this.settle());
    this.sizes.observe(this.log);
    this.sizes.observe(this.rows);
    this.element.addEventListener('dragover', (event) => event.preventDefault());
    this.element.addEventListener('drop', (event) => {
      event.preventDefault();
      this.composer.attachAll(event.dataTransfer);
    });
    // On a touch screen, a tap on a bubble opens what a pointer opens by hovering.
    this.rows.addEventListener('click', (event) => {
      if (!matchMedia('(hover: none)').matches || event.target.closest('button, a, video, audio')) return;
      event.target.closest('.bubble')?.parentElement.querySelector('.smile-button')?.click();
    });
  }

  close() {
    this.chat.close();
    this.composer.close();
    this.listeners.abort();
    this.sizes.disconnect();
    this.connection.close();
  }

  retryNow() {
    live().retry();
  }

  /** On a phone, focus would open the keyboard over the messages. */
  focus() {
    if (matchMedia('(hover: hover)').matches) this.composer.focus();
    this.toBottom();
  }

  roomChanged(room) {
    if (!room) return;
    const renamed = room.display_name !== this.room.display_name || room.avatar !== this.room.avatar;
    const { participants_count: before } = this.room;
    this.room = room;
    this.chat.room = room;
    if (before !== room.participants_count) this.drawPeople();
    if (renamed) this.drawTitle();
  }

  draw(kind) {
    if (!this.composer) return;
    if (kind === 'messages') this.drawMessages();
    else this.drawPeople();
    if (kind === 'state') {
      this.drawConnection();
      this.drawMessages();
    }
  }

  about() {
    openRoomDialog(this.room.id, {
      onChanged: () => this.onRooms(),
      onLeft: () => {
        this.onRooms();
        location.hash = '#/';
      },
    });
  }

  drawTitle() {
    const other = this.room.other_user;
    fill(this.title, roomAvatar(this.room), h('div', null, h('h1', { dir: 'auto' }, other ? h('a', { class: 'person-link', href: personAddress(other.username) }, this.room.display_name) : this.room.display_name), this.presence));
  }

  drawPeople() {
    const { online, typing, me, isLive } = this.chat;
    const others = this.room.participants.map((one) => one.user).filter((user) => user.id !== me.id);
    const present = others.filter((user) => online.has(user.id)).length;
    // Presence is known per room: a user who is not in this room may be in another.
    const status = !isLive ? 'unknown' : present > 0 ? 'online' : 'absent';
    this.presence.dataset.status = status;
    const single = this.room.other_user;
    const label = present === 0 || !isLive ? null : single ? t('online') : t('membersOnline', { n: present });
    const about = single ? `@${single.username}` : t('members', { n: this.room.participants_count ?? this.room.participants.length });
    fill(this.presence, label ? h('span', { class: 'presence-label' }, label) : null, h('span', null, about));

    const names = others.filter((user) => typing.has(user.id)).map((user) => user.display_name);
    const text = typingText(names);
    this.typing.classList.toggle('shown', text !== '');
    if (this.typing.textContent !== text) fill(this.typing, text && typingDots(), text);
  }

  drawConnection() {
    const { state } = this.chat;
    this.composer.setClosed(state.name === 'closed');
    this.connection.show(state);
  }

  drawMessages() {
    const { loaded, loadError, loadingOlder, hasOlder } = this.chat;
    const list = this.chat.list();
    const texts = this.chat.unsent();
    const uploads = this.uploads();
    // A scroll whose event has not come yet counts, too.
    this.noticeScrolling();
    const fromBottom = this.log.scrollHeight - this.log.scrollTop;
    const grewAbove = list[0]?.id !== this.firstId && this.firstId !== undefined;
    // Screen readers must not announce older messages as new.
    this.log.setAttribute('aria-live', this.lastId === null || loadingOlder || grewAbove ? 'off' : 'polite');
    reconcile(this.rows, [...this.messageRows(list), ...this.unsentRows(list.at(-1), texts, uploads)]);
    this.top.textContent = loadError ? t('loadFailed') : !loaded || loadingOlder ? t('loadOlder') : hasOlder ? '' : t('start');
    this.arrivals(list);
    const unsent = texts.length + uploads.length;
    if (unsent > this.unsent) this.sticky = true;
    else if (grewAbove && !this.sticky) this.log.scrollTop = this.log.scrollHeight - fromBottom;
    this.unsent = unsent;
    this.settle();
    this.firstId = list[0]?.id;
    if (loaded && hasOlder && this.log.scrollHeight <= this.log.clientHeight) this.chat.loadOlder();
    this.read();
  }

  /** A file whose message is here already shows once. */
  uploads() {
    const known = new Set(this.chat.list().map((message) => message.client_id));
    return this.chat.uploads.list.filter((upload) => !known.has(upload.key));
  }

  messageRows(list) {
    const rows = [];
    const group = this.room.chat_type !== 'private';
    let previous = null;
    for (const message of list) {
      const at = sentAt(message);
      const day = dayKey(at);
      if (!previous || dayKey(sentAt(previous)) !== day) {
        rows.push({ key: `day-${day}`, signature: dayLabel(at), render: () => h('li', { class: 'day' }, h('span', null, dayLabel(at))) });
        previous = null;
      }
      if (message.id === this.unreadFrom) {
        rows.push({ key: 'unread', signature: '', render: () => h('li', { class: 'unread-line', data: { testid: 'unread-line' } }, h('span', null, t('unreadLine'))) });
        previous = null;
      }
      const first = !previous || previous.sender.id !== message.sender.id || at - sentAt(previous) > RUN_MS;
      const render = () => messageView(message, { me: this.chat.me, first, group, on: this.on });
      rows.push({ key: message.client_id ?? message.id, signature: `${revision(message)}-${first}`, render });
      previous = message;
    }
    return rows;
  }

  /** A message that is not stored yet looks as it will then, so that nothing moves. */
  unsentRows(last, texts, uploads) {
    const { me } = this.chat;
    const goesOn = last?.sender.id === me.id && Date.now() - sentAt(last) <= RUN_MS;
    const typed = texts.map((entry) => ({ entry, view: pendingView, onRetry: () => this.chat.retry(entry), onDiscard: () => this.chat.discard(entry) }));
    const files = uploads.map((entry) => ({ entry, view: uploadView, onRetry: () => this.chat.uploads.start(entry), onDiscard: () => this.chat.uploads.discard(entry) }));
    return [...typed, ...files].map(({ entry, view, onRetry, onDiscard }, index) => {
      const first = index === 0 && !goesOn;
      return { key: entry.key, signature: `${entry.status}-${entry.error}-${first}`, render: () => view(entry, { first, onRetry, onDiscard }) };
    });
  }

  /** Counts what arrived below the visible part. */
  arrivals(list) {
    const last = list.at(-1);
    if (!last || last.id === this.lastId) return;
    const before = list.findIndex((message) => message.id === this.lastId);
    if (before >= 0 && !this.sticky) {
      this.setNewBelow(this.newBelow + list.slice(before + 1).filter((message) => message.sender.id !== this.chat.me.id).length);
    }
    this.lastId = last.id;
  }

  setNewBelow(count) {
    this.newBelow = count;
    fill(this.down, count > 0 ? h('span', null, `${t('newBelow')} · ${count}`) : null, icon('down'));
    this.down.hidden = this.sticky;
  }

  /** What came while nobody looked is read by looking, with a line above the first of it. */
  looked() {
    if (document.hidden) return;
    this.isBack = this.chat.unread > 0;
    this.read();
  }

  /** Tells that the newest messages are read, once they are in sight. */
  read() {
    const { unread, loaded } = this.chat;
    if (document.hidden || !loaded || unread === 0 || !(this.sticky || this.isBack)) return;
    const others = this.chat.list().filter((message) => message.sender.id !== this.chat.me.id);
    if (others.length === 0) return;
    const isBack = this.isBack;
    this.isBack = false;
    if (isBack) this.unreadFrom = (others.at(-unread) ?? others[0]).id;
    this.chat.read();
    if (isBack) this.drawMessages();
  }

  // ── Scrolling ─────────────────────────────────────────────────────────────────────────────────

  scrolled() {
    if (this.log.scrollTop < NEAR_TOP_PX) this.chat.loadOlder();
    this.noticeScrolling();
    this.read();
  }

  /**
   * Only the person's own scrolling decides whether the view sticks to the newest message. If the window or the
   * messages changed their size since the view was settled, it was the browser that scrolled.
   */
  noticeScrolling() {
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    const isAtBottom = scrollHeight - scrollTop - clientHeight < NEAR_BOTTOM_PX;
    if (this.sizesOf() === this.settledSizes && (isAtBottom || !this.gliding)) {
      this.sticky = isAtBottom;
      this.gliding = false;
      if (isAtBottom && this.newBelow > 0) this.setNewBelow(0);
      this.down.hidden = isAtBottom;
    }
  }

  sizesOf() {
    return `${this.log.scrollHeight} ${this.log.clientHeight}`;
  }

  /** Called when sizes may have changed: returns to the newest message if the person was there. */
  settle() {
    // A smooth scroll that has not ended gets its new target.
    if (this.sticky) this.toBottom(this.gliding);
    this.settledSizes = this.sizesOf();
    this.down.hidden = this.sticky;
  }

  toBottom(smoothly = false) {
    this.gliding = smoothly && !matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.log.scrollTo({ top: this.log.scrollHeight, behavior: this.gliding ? 'smooth' : 'instant' });
    this.sticky = true;
    if (this.newBelow > 0) this.setNewBelow(0);
    this.read();
  }

  /** Scrolls to the quoted message, however far up it is. */
  async jump(id) {
    const problem = this.chat.get(id) ? '' : await this.chat.reach(id);
    if (problem) return toast(problem);
    const element = this.rows.querySelector(`[data-message-id="${CSS.escape(id)}"]`);
    if (!element) return;
    this.sticky = false;
    element.scrollIntoView({ block: 'center' });
    element.classList.remove('found');
    requestAnimationFrame(() => element.classList.add('found'));
  }
}
