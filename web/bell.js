// The bell: notifications about the user's posts and comments, the number of unread ones, and marking them as read.

import * as feedApi from './feed_api.js';
import { h, reconcile, toast } from './dom.js';
import { errorText, t } from './i18n.js';
import { icon } from './icons.js';
import { live } from './live.js';
import { avatar } from './media.js';
import { personAddress } from './person_row.js';
import { notifications } from './pregon.js';
import { agoLabel, fullLabel } from './time.js';

/** Where a notification without a post leads, by type. */
const PEOPLE_TYPES = ['follow', 'friend_accept', 'friend_request'];
/** The notification's sender, in the fields of a profile. */
const FRIEND_STATES = {
  friend_request: { friend_request_status: 'received' },
  friend_accept: { is_friend: true, friend_request_status: null },
};

export class Bell {
  /**
   * `onNote(notification, text)` is told of a new one; `onCount()` is called when the badge changes; `onFriend(username,
   * fields)` is called with the new state of a friend request.
   */
  constructor({ onNote, onFriend, onCount }) {
    this.onNote = onNote;
    this.onFriend = onFriend;
    this.onCount = onCount;
    /** Friend requests whose state was asked for, and those that are answered. */
    this.asked = new Set();
    this.answered = new Set();
    this.badge = h('span', { class: 'badge', data: { testid: 'bell-badge' }, hidden: true, 'aria-hidden': 'true' });
    this.button = h('button', { type: 'button', class: 'icon-button bell', id: 'bell', 'aria-expanded': 'false', 'aria-controls': 'notifications', popovertarget: 'notifications' }, icon('bell'), this.badge);
    this.rows = h('ul', { class: 'notifications', id: 'notification-list' });
    this.note = h('p', { class: 'hint', role: 'status' });
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
    this.store = notifications(live());
    this.leave = [
      this.store.subscribe(() => this.changed()),
      this.store.onEvent(({ type, notification }) => type === 'notification' && this.arrived(notification)),
    ];
    this.changed();
  }

  close() {
    for (const leave of this.leave) leave();
  }

  get unread() {
    return this.store.get().unread;
  }

  get list() {
    return this.store.get().notifications;
  }

  changed() {
    const requests = this.list.filter((one) => one.friend_request_id && !this.asked.has(one.friend_request_id));
    if (requests.length > 0) this.lookAtRequests(requests.map((one) => one.friend_request_id));
    this.draw();
  }

  async showMore() {
    this.more.disabled = true;
    try {
      await this.store.loadOlder();
    } catch (error) {
      toast(errorText(error));
    } finally {
      this.more.disabled = false;
    }
  }

  /** A request that was answered elsewhere, or withdrawn, has no buttons any more. */
  async lookAtRequests(ids) {
    for (const id of ids) this.asked.add(id);
    try {
      const open = new Set((await feedApi.friendRequests()).map((request) => request.id));
      for (const id of ids) if (!open.has(id)) this.answered.add(id);
      this.draw();
    } catch {
      // The buttons stay; if the answer comes too late, the user is told then.
    }
  }

  arrived(notification) {
    const state = FRIEND_STATES[notification.notification_type];
    if (state) this.onFriend(notification.sender.username, state);
    this.announcer.textContent = textOf(notification);
    this.onNote(notification, textOf(notification));
  }

  draw() {
    const { unread, list } = this;
    const { hasOlder, status, error } = this.store.get();
    const label = unread > 0 ? t('notificationsUnread', { n: unread }) : t('notifications');
    this.button.setAttribute('aria-label', label);
    this.button.title = label;
    this.badge.hidden = unread === 0;
    this.badge.textContent = unread > 99 ? '99+' : String(unread);
    this.all.disabled = unread === 0;
    this.more.hidden = !hasOlder;
    const isEmpty = list.length === 0 && status !== 'loading';
    this.note.textContent = error && list.length === 0 ? t('notificationsFailed') : isEmpty ? t('noNotifications') : '';
    reconcile(this.rows, list.map((one) => ({
      key: one.id, signature: `${one.notification_type}-${one.is_read}-${this.answered.has(one.friend_request_id)}-${agoLabel(Date.parse(one.created_at))}`, render: () => this.row(one),
    })));
    this.onCount();
  }

  row(one) {
    const at = Date.parse(one.created_at);
    const asks = one.notification_type === 'friend_request' && one.friend_request_id && !this.answered.has(one.friend_request_id);
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
    else if (PEOPLE_TYPES.includes(one.notification_type)) location.hash = personAddress(one.sender.username);
    else return;
    this.panel.hidePopover();
  }

  async markRead(one) {
    if (one.is_read) return;
    try {
      await this.store.markRead(one.id);
    } catch (error) {
      toast(errorText(error));
    }
  }

  async markAll() {
    this.all.disabled = true;
    try {
      await this.store.markAllRead();
      if (this.store.get().status !== 'live') await this.store.reload();
    } catch (error) {
      toast(errorText(error));
    }
    this.draw();
  }

  async answer(one, accept) {
    try {
      await feedApi.answerRequest(one.friend_request_id, accept);
      this.answered.add(one.friend_request_id);
      this.onFriend(one.sender.username, accept ? FRIEND_STATES.friend_accept : { friend_request_status: null });
      this.markRead(one);
    } catch (error) {
      if (error.status === 404) this.answered.add(one.friend_request_id);
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
