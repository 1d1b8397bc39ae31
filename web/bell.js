// The bell: notifications about the user's posts and comments, the number of unread ones, and marking them as read.

import * as feedApi from './feed_api.js';
import { h, reconcile, toast } from './dom.js';
import { errorText, t } from './i18n.js';
import { icon } from './icons.js';
import { avatar } from './media.js';
import { LiveSocket } from './socket.js';
import { agoLabel, fullLabel } from './time.js';

/** Where a notification without a post leads, by type. */
const PEOPLE_TYPES = ['follow', 'friend_accept'];
/** The notification's sender, in the fields of a profile. */
const FRIEND_STATES = {
  friend_request: { friend_request_status: 'received' },
  friend_accept: { is_friend: true, friend_request_status: null },
};

export class Bell {
  /**
   * `onPerson(username)` shows somebody; `onCount()` is called when the badge changes; `onFriend(username, fields)` is
   * called with the new state of a friend request.
   */
  constructor({ onPerson, onFriend, onCount }) {
    this.onPerson = onPerson;
    this.onFriend = onFriend;
    this.onCount = onCount;
    this.list = [];
    this.unread = 0;
    this.badge = h('span', { class: 'badge', data: { testid: 'bell-badge' }, hidden: true, 'aria-hidden': 'true' });
    this.button = h('button', { type: 'button', class: 'icon-button bell', id: 'bell', 'aria-expanded': 'false', 'aria-controls': 'notifications', popovertarget: 'notifications' }, icon('bell'), this.badge);
    this.rows = h('ul', { class: 'notifications', id: 'notification-list' });
    this.note = h('p', { class: 'hint', role: 'status' });
    this.next = null;
    this.more = h('button', { type: 'button', class: 'plain more', id: 'more-notifications', hidden: true, onclick: () => this.showMore() }, t('moreNotifications'));
    this.all = h('button', { type: 'button', class: 'plain', id: 'mark-all', onclick: () => this.markAll() }, icon('checks'), t('markAll'));
    this.panel = h('section', { class: 'bell-panel', id: 'notifications', popover: 'auto', 'aria-label': t('notifications') },
      h('div', { class: 'bell-head' }, h('h2', null, t('notifications')), this.all), this.note, this.rows, this.more);
    this.panel.addEventListener('toggle', (event) => {
      this.button.setAttribute('aria-expanded', String(event.newState === 'open'));
      this.draw();
    });
    this.announcer = h('span', { class: 'hidden-label', role: 'status' });
    this.element = h('div', { class: 'bell-box' }, this.button, this.panel, this.announcer);
    this.socket = new LiveSocket('/ws/notifications/', {
      greeting: 'connection_established',
      onFrame: (frame) => this.received(frame),
      onState: (state) => this.entered(state),
    });
    this.draw();
    this.load();
  }

  close() {
    this.closed = true;
    this.socket.close();
  }

  retryNow() {
    this.socket.retryNow();
  }

  entered(state) {
    // Notifications that came between two connections were sent to no socket.
    if (state.name !== 'live') return;
    if (this.wasLive) this.load();
    this.wasLive = true;
  }

  async load() {
    // Frames that arrive while the list is loading are newer than the list.
    const heard = (this.heard = { added: [], read: new Set() });
    try {
      const { results, next } = await feedApi.notifications();
      // Pages that are not shown may hold unread ones, whatever the first page holds.
      const isCut = next !== null;
      const unread = isCut ? await feedApi.unreadCount() : results.filter((one) => !one.is_read).length;
      if (this.closed || heard !== this.heard) return;
      const ids = new Set(results.map((one) => one.id));
      const added = heard.added.filter((one) => !ids.has(one.id));
      this.list = [...added, ...results];
      this.next = next;
      this.unread = unread + (isCut ? 0 : added.length);
      this.failed = false;
      for (const id of heard.read) this.wasRead(id);
      if (this.list.some((one) => one.notification_type === 'friend_request')) this.lookAtRequests();
    } catch {
      this.failed = this.list.length === 0;
    }
    if (!this.closed) this.draw();
  }

  /** The page behind the last one. Known notifications are skipped. */
  async showMore() {
    this.more.disabled = true;
    const { heard } = this;
    try {
      const { results, next } = await feedApi.nextPage(this.next);
      if (this.closed || heard !== this.heard) return;
      const ids = new Set(this.list.map((one) => one.id));
      const older = results.filter((one) => !ids.has(one.id));
      for (const one of older) one.is_read ||= heard.read.has(one.id);
      this.list.push(...older);
      this.next = next;
      if (older.some((one) => one.notification_type === 'friend_request')) this.lookAtRequests();
    } catch (error) {
      toast(errorText(error));
    } finally {
      this.more.disabled = false;
    }
    this.draw();
  }

  /** A request that was answered elsewhere, or withdrawn, has no buttons any more. */
  async lookAtRequests() {
    try {
      const open = new Set((await feedApi.friendRequests()).map((request) => request.id));
      for (const one of this.list) {
        if (one.friend_request_id && !this.heard.added.includes(one)) one.answered = !open.has(one.friend_request_id);
      }
      if (!this.closed) this.draw();
    } catch {
      // The buttons stay; if the answer comes too late, the user is told then.
    }
  }

  received(frame) {
    if (frame.type === 'notification') this.arrived(frame.notification);
    else if (frame.type === 'notification_read') {
      this.readElsewhere(frame.notification_id);
      this.draw();
    } else if (frame.type === 'notification_updated') this.changed(frame.notification);
    else if (frame.type === 'notification_deleted') this.gone(frame.notification_id, frame.unread_count);
  }

  /** The notification has new content, or is back in the list. If it is not shown, the list is loaded again. */
  changed(notification) {
    const place = this.list.findIndex((one) => one.id === notification.id);
    if (place < 0) return this.load();
    this.list[place] = { ...notification, is_read: this.list[place].is_read };
    this.draw();
  }

  /** The notification was deleted. */
  gone(id, unread) {
    if (this.heard) this.heard.added = this.heard.added.filter((one) => one.id !== id);
    this.list = this.list.filter((one) => one.id !== id);
    this.unread = unread;
    this.draw();
  }

  arrived(notification) {
    if (this.list.some((one) => one.id === notification.id)) return;
    this.heard?.added.unshift(notification);
    this.list.unshift(notification);
    if (!notification.is_read) this.unread += 1;
    if (FRIEND_STATES[notification.notification_type]) this.onFriend(notification.sender.username, FRIEND_STATES[notification.notification_type]);
    this.announcer.textContent = textOf(notification);
    this.draw();
  }

  /** Notifications on pages that are not shown count, too. */
  readElsewhere(id) {
    const isHidden = this.next !== null && !this.heard.read.has(id) && !this.list.some((one) => one.id === id);
    this.heard?.read.add(id);
    if (isHidden) this.unread = Math.max(0, this.unread - 1);
    else this.wasRead(id);
  }

  wasRead(id) {
    const known = this.list.find((one) => one.id === id);
    if (!known || known.is_read) return;
    known.is_read = true;
    this.unread = Math.max(0, this.unread - 1);
  }

  draw() {
    const { unread } = this;
    const label = unread > 0 ? t('notificationsUnread', { n: unread }) : t('notifications');
    this.button.setAttribute('aria-label', label);
    this.button.title = label;
    this.badge.hidden = unread === 0;
    this.badge.textContent = unread > 99 ? '99+' : String(unread);
    this.all.disabled = unread === 0;
    this.more.hidden = this.next === null;
    this.note.textContent = this.failed ? t('notificationsFailed') : this.list.length === 0 ? t('noNotifications') : '';
    reconcile(this.rows, this.list.map((one) => ({
      key: one.id, signature: `${one.notification_type}-${one.is_read}-${one.answered === true}-${agoLabel(Date.parse(one.created_at))}`, render: () => this.row(one),
    })));
    this.onCount();
  }

  row(one) {
    const at = Date.parse(one.created_at);
    const asks = one.notification_type === 'friend_request' && one.friend_request_id && !one.answered;
    return h('li', { class: `notification ${one.is_read ? '' : 'unread'}`, data: { testid: 'notification', type: one.notification_type, read: String(one.is_read) } },
      h('button', { type: 'button', class: 'notification-open', onclick: () => this.open(one) }, avatar(one.sender, 'small'),
        h('span', { class: 'notification-text' }, textOf(one), h('time', { class: 'hint', datetime: one.created_at, title: fullLabel(at) }, agoLabel(at))),
        one.is_read ? null : h('span', { class: 'dot', role: 'img', 'aria-label': t('unreadMark') })),
      asks ? h('div', { class: 'buttons' },
        h('button', { type: 'button', class: 'quiet', data: { testid: 'reject' }, onclick: () => this.answer(one, false) }, t('reject')),
        h('button', { type: 'button', class: 'primary', data: { testid: 'accept' }, onclick: () => this.answer(one, true) }, t('accept'))) : null);
  }

  open(one) {
    this.markRead(one);
    if (one.post_id) location.hash = `#/post/${one.post_id}`;
    else if (PEOPLE_TYPES.includes(one.notification_type)) this.onPerson(one.sender.username);
    else return;
    this.panel.hidePopover();
  }

  /** Over the socket, whose answer marks it in every tab; by REST if there is no live socket. */
  async markRead(one) {
    if (one.is_read || this.socket.send({ type: 'mark_read', notification_id: one.id })) return;
    try {
      await feedApi.markRead(one.id);
      this.wasRead(one.id);
      this.draw();
    } catch (error) {
      toast(errorText(error));
    }
  }

  async markAll() {
    this.all.disabled = true;
    try {
      await feedApi.markAllRead();
      for (const one of this.list) one.is_read = true;
      this.unread = 0;
      this.load();
    } catch (error) {
      toast(errorText(error));
    }
    this.draw();
  }

  async answer(one, accept) {
    try {
      await feedApi.answerRequest(one.friend_request_id, accept);
      one.answered = true;
      this.onFriend(one.sender.username, accept ? FRIEND_STATES.friend_accept : { friend_request_status: null });
      this.markRead(one);
    } catch (error) {
      if (error.status === 404) one.answered = true;
      toast(errorText(error));
    }
    this.draw();
  }
}

/** The text in the reader's language, by type; for an unknown type the server's text. */
function textOf(one) {
  const known = ['like', 'celebration', 'golazo', 'comment', 'reply', 'share', 'follow', 'friend_request', 'friend_accept'];
  return known.includes(one.notification_type) ? t(`n_${one.notification_type}`, { name: one.sender.display_name }) : one.message;
}
