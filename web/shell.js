// The page's frame after login: sections, bell, room list, and the chat, feed or post that the address names.

import * as api from './api.js';
import { Bell } from './bell.js';
import { ChatView } from './chat_view.js';
import { DesktopNotes } from './desktop.js';
import { h, toast } from './dom.js';
import { FeedView } from './feed_view.js';
import { firstSteps } from './first_steps.js';
import { errorText, t } from './i18n.js';
import { icon, LOGO } from './icons.js';
import { live, logoutLive } from './live.js';
import { avatar } from './media.js';
import { personAddress } from './person_row.js';
import { PostView } from './post_view.js';
import { ProfileView } from './profile_view.js';
import { hasUploads, stopUploads } from './room_uploads.js';
import { isMuted, RoomsView } from './rooms_view.js';
import { session } from './session.js';
import { forgetPush, renewPush } from './push.js';
import { settingsView } from './settings_view.js';

const POLL_MS = 5_000;
const POLL_HIDDEN_MS = 20_000;
/** Several frames in a row cause one reload of the room list. */
const SOON_MS = 400;

export class Shell {
  constructor(root, { onSignedOut }) {
    this.onSignedOut = onSignedOut;
    this.newest = [];
    this.older = [];
    this.nextPage = 2;
    this.listeners = new AbortController();
    this.roomsView = new RoomsView({ onOpen: (id) => this.open(id), onRooms: () => this.poll(), onMore: () => this.more() });
    this.chatsBadge = h('span', { class: 'badge', hidden: true, data: { testid: 'chats-badge' } });
    this.sections = [['chats', '#/'], ['feed', '#/feed']].map(([name, href]) =>
      h('a', { href, class: 'section', id: `section-${name}` }, icon(name), h('span', null, t(name))));
    this.notes = new DesktopNotes({ isRead: (id) => this.chat?.room.id === id });
    this.bell = new Bell({ onNote: (one, text) => this.notes.notification(one, text), onFriend: (username, fields) => this.feed?.people.changed(username, fields), onCount: () => this.showTitle() });
    this.pane = h('main', { class: 'pane', id: 'pane' });
    this.element = h('div', { class: 'shell' }, this.rail(), this.roomsView.element, this.pane);
    root.replaceChildren(this.element);
    const { signal } = this.listeners;
    addEventListener('hashchange', () => this.route(), { signal });
    document.addEventListener('visibilitychange', () => document.hidden || this.poll(), { signal });
    addEventListener('online', () => this.poll(), { signal });
    addEventListener('pregon:uploads', () => this.roomsView.draw(), { signal });
    this.forget = live().unsent.subscribe(() => this.roomsView.draw());
    // The upload would be lost, so the browser asks first.
    addEventListener('beforeunload', (event) => (api.isSending() || hasUploads()) && event.preventDefault(), { signal });
    this.poll();
    this.route();
    renewPush();
  }

  close() {
    this.closed = true;
    this.listeners.abort();
    this.forget();
    clearTimeout(this.timer);
    clearTimeout(this.soon);
    this.chat?.close();
    this.post?.close();
    this.person?.close();
    this.notes.close();
    this.feed?.close();
    this.bell.close();
    stopUploads();
  }

  /** The sections of the page; each is one item of the list, with its badge. */
  rail() {
    const { user } = session();
    // Posts that arrived while another section was shown.
    this.feedDot = h('span', { class: 'dot', role: 'img', 'aria-label': t('newPosts'), hidden: true, data: { testid: 'feed-dot' } });
    this.sections[1].append(this.feedDot);
    this.sections[0].append(this.chatsBadge);
    const leave = h('button', { type: 'button', class: 'icon-button', id: 'logout', 'aria-label': t('logout'), title: t('logout'), onclick: () => this.signOut() }, icon('leave'));
    this.meBox = h('div', { class: 'me', id: 'me', data: { username: user.username } });
    this.leaveButton = leave;
    this.drawMe();
    return h('header', { class: 'rail' },
      h('a', { href: '#/', class: 'wordmark', 'aria-label': 'pregon' }, h('img', { src: LOGO, alt: '' }), h('span', null, 'pregon')),
      h('nav', { 'aria-label': t('sections') }, h('ul', { id: 'sections' }, this.sections.map((section) => h('li', null, section)))),
      this.bell.element,
      this.meBox);
  }

  drawMe() {
    const { user } = session();
    this.meBox.replaceChildren(
      h('a', { class: 'me-link', id: 'my-profile', href: personAddress(user.username), title: t('profile') },
        h('span', { class: 'hidden-label' }, t('profile')), h('span', { class: 'me-name', dir: 'auto', title: `@${user.username}` }, user.display_name), avatar(user, 'small')),
      h('a', { class: 'icon-button', id: 'settings', href: '#/settings', 'aria-label': t('settings'), title: t('settings') }, icon('gear')),
      this.leaveButton);
  }

  signOut() {
    forgetPush(session().user.id).catch(() => {});
    logoutLive();
    api.logout();
    location.hash = '';
    this.onSignedOut();
  }

  open(id) {
    const hash = `#/chat/${id}`;
    if (location.hash === hash) this.route();
    else location.hash = hash;
  }

  /**
   * Shows what the address names, so that Back leads from a chat to the list on a phone, and from a post to the feed.
   */
  route() {
    const [, section, id] = location.hash.match(/^#\/(chat|post|feed|person|settings)(?:\/([\w-]+))?$/) ?? [];
    const place = section === 'feed' || section === 'settings' || id ? section : 'chats';
    const isFeed = place === 'feed' || place === 'post';
    this.element.classList.toggle('in-feed', !['chat', 'chats'].includes(place));
    this.element.classList.toggle('in-chat', place === 'chat');
    this.sections.forEach((link, index) => (index === 1 ? isFeed : place === 'chat' || place === 'chats') ? link.setAttribute('aria-current', 'page') : link.removeAttribute('aria-current'));
    if (place !== 'chat') this.leaveChat();
    if (place !== 'post') this.leavePost();
    if (place !== 'person') this.leavePerson();
    if (this.feed?.element.isConnected) this.feed.leaving();
    if (place === 'feed') this.showFeed();
    else if (place === 'post') this.showPost(id);
    else if (place === 'chat') this.showChat(id);
    else if (place === 'person') this.showPerson(id);
    else if (place === 'settings') this.pane.replaceChildren(settingsView({ onSignOut: () => this.signOut() }));
    else this.showEmpty();
  }

  leaveChat() {
    this.chat?.close();
    this.chat = null;
    this.opening = null;
    this.roomsView.select(null);
  }

  leavePost() {
    this.post?.close();
    this.post = null;
  }

  /** Created once, it stays and receives posts while other sections are shown. */
  showFeed() {
    this.feed ??= new FeedView({ onArrival: () => (this.feedDot.hidden = this.feed?.element.isConnected === true) });
    this.pane.replaceChildren(this.feed.element);
    this.feed.shown();
    this.feedDot.hidden = true;
  }

  showPost(id) {
    if (this.post?.thread.id !== id) {
      this.leavePost();
      this.post = new PostView(id);
    }
    this.pane.replaceChildren(this.post.element);
  }

  leavePerson() {
    this.person?.close();
    this.person = null;
  }

  showPerson(username) {
    if (this.person?.username !== username) {
      this.leavePerson();
      this.person = new ProfileView(username, { onChanged: () => this.drawMe() });
    }
    this.pane.replaceChildren(this.person.element);
  }

  async showChat(id) {
    if (this.chat?.room.id === id) return;
    this.chat?.close();
    this.chat = null;
    this.opening = id;
    this.roomsView.select(id);
    try {
      const room = this.rooms.find((one) => one.id === id) ?? (await api.room(id));
      if (this.closed || this.opening !== id) return;
      this.chat = new ChatView(room, { onActivity: () => this.pollSoon(), onRooms: () => this.poll() });
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
      // A room that newer ones pushed off the first page still exists.
      this.older = next === null ? [] : without(results, [...this.newest, ...this.older]);
      this.newest = results;
      this.notes.rooms(results);
      this.count = count;
      // The server answers again, so waiting for the rest of a long back-off is unnecessary.
      if (this.unreachable) live().retry();
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

  /** The next page of rooms. Only the first page is reloaded automatically; rooms that new ones push down overlap. */
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
    if (!this.chat && !this.opening && !this.element.classList.contains('in-feed')) this.showEmpty();
    this.showTitle();
  }

  showTitle() {
    const reading = document.hidden ? null : this.chat?.room.id;
    const counts = (room) => room.id !== reading && !isMuted(room);
    const chats = this.rooms.reduce((sum, room) => sum + (counts(room) ? room.unread_count : 0), 0);
    const unread = chats + (this.bell?.unread ?? 0);
    this.chatsBadge.hidden = chats === 0;
    this.chatsBadge.textContent = chats > 99 ? '99+' : String(chats);
    this.sections[0].title = chats > 0 ? t('chatsUnread', { n: chats }) : '';
    document.title = unread > 0 ? `(${unread}) pregon` : 'pregon';
  }

  /** No room is open: shows how to get to the first one, or a hint to choose one. */
  showEmpty() {
    const kind = this.rooms.length === 0 ? 'first' : 'pick';
    if (this.pane.firstElementChild?.dataset.empty === kind) return;
    this.pane.replaceChildren(kind === 'first' ? firstSteps() : h('section', { class: 'empty', data: { empty: 'pick' } },
      h('img', { src: LOGO, alt: '' }), h('h2', null, t('pickTitle')), h('p', null, t('pickText'))));
  }
}

/** The rooms of `list` that `known` does not have. */
function without(known, list) {
  const ids = new Set(known.map((room) => room.id));
  return list.filter((room) => !ids.has(room.id));
}
