// The page's frame once signed in: sections, room list and the open room, kept in step with the address.

import * as api from './api.js';
import { ChatView } from './chat_view.js';
import { h, toast } from './dom.js';
import { firstSteps } from './first_steps.js';
import { errorText, t } from './i18n.js';
import { icon } from './icons.js';
import { avatar } from './media.js';
import { RoomsView } from './rooms_view.js';
import { session } from './session.js';

const POLL_MS = 5_000;
const POLL_HIDDEN_MS = 20_000;
/** Several frames in a row ask for one look at the room list. */
const SOON_MS = 400;

export class Shell {
  constructor(root, { onSignedOut }) {
    this.onSignedOut = onSignedOut;
    this.newest = [];
    this.older = [];
    this.nextPage = 2;
    this.listeners = new AbortController();
    this.roomsView = new RoomsView({ onOpen: (id) => this.open(id), onRooms: () => this.poll(), onMore: () => this.more() });
    this.pane = h('main', { class: 'pane', id: 'pane' });
    this.element = h('div', { class: 'shell' }, this.rail(), this.roomsView.element, this.pane);
    root.replaceChildren(this.element);
    const { signal } = this.listeners;
    addEventListener('hashchange', () => this.route(), { signal });
    document.addEventListener('visibilitychange', () => document.hidden || this.poll(), { signal });
    addEventListener('online', () => this.poll(), { signal });
    this.poll();
    this.route();
  }

  close() {
    this.closed = true;
    this.listeners.abort();
    clearTimeout(this.timer);
    clearTimeout(this.soon);
    this.chat?.close();
  }

  /** Sections of the page; each is one item of the list, its badge included. */
  rail() {
    const { user } = session();
    const section = h('a', { href: '#/', class: 'section', 'aria-current': 'page' }, icon('chats'), h('span', null, t('chats')));
    const leave = h('button', { type: 'button', class: 'icon-button', id: 'logout', 'aria-label': t('logout'), title: t('logout') }, icon('leave'));
    leave.addEventListener('click', () => {
      api.logout();
      location.hash = '';
      this.onSignedOut();
    });
    return h('header', { class: 'rail' },
      h('a', { href: '#/', class: 'wordmark', 'aria-label': 'pregon' }, h('img', { src: '/page/logo.svg', alt: '' }), h('span', null, 'pregon')),
      h('nav', { 'aria-label': t('sections') }, h('ul', { id: 'sections' }, h('li', null, section))),
      h('div', { class: 'me', id: 'me', data: { username: user.username } },
        h('span', { class: 'me-name', title: `@${user.username}` }, user.display_name), avatar(user, 'small'), leave));
  }

  open(id) {
    const hash = `#/chat/${id}`;
    if (location.hash === hash) this.route();
    else location.hash = hash;
  }

  /** Shows what the address says, so that Back leads from a chat to the list on a phone. */
  async route() {
    const id = location.hash.match(/^#\/chat\/([0-9a-f-]+)$/)?.[1] ?? null;
    if (id && this.chat?.room.id === id) return;
    this.chat?.close();
    this.chat = null;
    this.opening = id;
    this.element.classList.toggle('in-chat', id !== null);
    this.roomsView.select(id);
    if (!id) return this.showEmpty();
    try {
      const room = this.rooms.find((one) => one.id === id) ?? (await api.room(id));
      if (this.closed || this.opening !== id) return;
      this.chat = new ChatView(room, { onActivity: () => this.pollSoon() });
      this.pane.replaceChildren(this.chat.element);
      this.chat.focus();
    } catch (error) {
      if (this.closed || this.opening !== id) return;
      toast(errorText(error));
      location.hash = '#/';
    }
  }

  pollSoon() {
    if (this.soon) return;
    this.soon = setTimeout(() => this.poll(), SOON_MS);
  }

  async poll() {
    clearTimeout(this.timer);
    clearTimeout(this.soon);
    this.soon = null;
    const turn = (this.turn = (this.turn ?? 0) + 1);
    try {
      const { results, next, count } = await api.rooms();
      if (this.closed || turn !== this.turn) return;
      // A room that new ones pushed off the first page is still there, only older.
      this.older = next === null ? [] : without(results, [...this.newest, ...this.older]);
      this.newest = results;
      this.count = count;
      // The server answers again: no need to sit out the rest of a long back-off.
      if (this.unreachable) this.chat?.retryNow();
      this.unreachable = false;
      this.showRooms();
    } catch {
      if (this.closed || turn !== this.turn) return;
      this.unreachable = true;
      this.roomsView.show(this.rooms, { reachable: false, hasMore: this.hasMore });
    }
    this.timer = setTimeout(() => this.poll(), document.hidden ? POLL_HIDDEN_MS : POLL_MS);
  }

  get rooms() {
    return [...this.newest, ...this.older];
  }

  get hasMore() {
    return this.count > this.rooms.length;
  }

  /** The next page of rooms; only the first one is looked at again by itself, and what new rooms push down overlaps. */
  async more() {
    try {
      const { results } = await api.rooms(this.nextPage);
      this.nextPage += 1;
      this.older = [...this.older, ...without(this.rooms, results)];
      this.showRooms();
    } catch (error) {
      toast(errorText(error));
    }
  }

  showRooms() {
    const { rooms } = this;
    this.roomsView.show(rooms, { reachable: true, hasMore: this.hasMore });
    this.chat?.roomChanged(rooms.find((one) => one.id === this.chat.room.id));
    if (!this.chat && !this.opening) this.showEmpty();
    this.showTitle();
  }

  showTitle() {
    const reading = document.hidden ? null : this.chat?.room.id;
    const unread = this.rooms.reduce((sum, room) => sum + (room.id === reading ? 0 : room.unread_count), 0);
    document.title = unread > 0 ? `(${unread}) pregon` : 'pregon';
  }

  /** No room open: how to get to the first one, or a hint to choose. */
  showEmpty() {
    const kind = this.rooms.length === 0 ? 'first' : 'pick';
    if (this.pane.firstElementChild?.dataset.empty === kind) return;
    this.pane.replaceChildren(kind === 'first' ? firstSteps() : h('section', { class: 'empty', data: { empty: 'pick' } },
      h('img', { src: '/page/logo.svg', alt: '' }), h('h2', null, t('pickTitle')), h('p', null, t('pickText'))));
  }
}

/** The rooms of `list` that `known` does not have. */
function without(known, list) {
  const ids = new Set(known.map((room) => room.id));
  return list.filter((room) => !ids.has(room.id));
}
