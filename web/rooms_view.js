// The list of rooms with the news in each, and the search that starts a chat.

import * as api from './api.js';
import { h, fill, reconcile, toast } from './dom.js';
import { firstSteps } from './first_steps.js';
import { openGroupDialog } from './group_dialog.js';
import { errorText, t } from './i18n.js';
import { icon } from './icons.js';
import { live } from './live.js';
import { avatar, roomAvatar } from './media.js';
import { uploadsOf } from './room_uploads.js';
import { session } from './session.js';
import { briefLabel } from './time.js';

const SEARCH_AFTER_MS = 250;

export class RoomsView {
  /** `onOpen(roomId)` shows a room; `onRooms()` asks for a fresh list, `onMore()` for older rooms. */
  constructor({ onOpen, onRooms, onMore }) {
    this.onOpen = onOpen;
    this.onRooms = onRooms;
    this.rooms = [];
    this.search = h('input', { type: 'search', id: 'search', dir: 'auto', autocomplete: 'off', placeholder: t('searchPlaceholder'), 'aria-label': t('searchPlaceholder') });
    this.search.addEventListener('input', () => this.typed());
    this.search.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.clearSearch();
    });
    const group = h('button', { type: 'button', class: 'icon-button', id: 'new-group', 'aria-label': t('newGroup'), title: t('newGroup') }, icon('group'));
    group.addEventListener('click', () => openGroupDialog((id) => this.created(id)));
    this.notice = h('p', { class: 'notice', role: 'status' });
    this.list = h('ul', { class: 'rooms', id: 'rooms', 'aria-label': t('chats') });
    this.more = h('button', { type: 'button', class: 'plain more', id: 'more-rooms', hidden: true, onclick: onMore }, t('moreRooms'));
    this.people = h('div', { class: 'people', id: 'people' });
    this.empty = h('div', { class: 'rooms-empty' });
    this.element = h('aside', { class: 'side' },
      h('div', { class: 'search' }, icon('search'), this.search, group),
      this.notice, h('div', { class: 'side-scroll' }, this.list, this.more, this.empty, this.people));
  }

  select(id) {
    this.selected = id;
    this.draw();
  }

  show(rooms, { reachable, hasMore }) {
    this.rooms = rooms;
    this.more.hidden = !hasMore;
    this.loaded = true;
    const notice = reachable ? '' : t('listOffline');
    if (this.notice.textContent !== notice) this.notice.textContent = notice;
    this.draw();
  }

  draw() {
    const wanted = this.query().toLowerCase();
    const shown = this.rooms.filter((room) => room.display_name.toLowerCase().includes(wanted));
    reconcile(this.list, shown.map((room) => {
      const unsent = unsentLabel(room.id);
      const selected = room.id === this.selected;
      const signature = JSON.stringify([room.display_name, room.last_message, room.unread_count, room.avatar, isMuted(room), unsent, selected, new Date().getDate()]);
      return { key: room.id, signature, render: () => roomItem(room, { selected, unsent }) };
    }));
    const empty = this.loaded && this.rooms.length === 0 && wanted === '';
    if (empty && !this.empty.firstChild) fill(this.empty, h('p', { class: 'hint' }, t('emptyRooms')), firstSteps());
    if (!empty) fill(this.empty);
  }

  query() {
    return this.search.value.trim().replace(/^@/, '');
  }

  typed() {
    this.draw();
    clearTimeout(this.timer);
    const text = this.query();
    if (text === '') return fill(this.people);
    this.timer = setTimeout(() => this.find(text), SEARCH_AFTER_MS);
  }

  async find(text) {
    let found = [];
    let problem = null;
    try {
      found = await api.searchUsers(text);
    } catch (error) {
      problem = error;
    }
    if (text !== this.query()) return;
    const others = found.filter((user) => user.id !== session().user.id);
    const rows = others.map((user) => personButton(user, () => this.startWith(user.username)));
    if (rows.length === 0) {
      const exact = /^[a-zA-Z0-9_]{3,30}$/.test(text) && problem;
      rows.push(h('p', { class: 'hint' }, problem ? errorText(problem) : t('nobodyFound', { text })));
      if (exact) rows.push(h('button', { type: 'button', class: 'plain', onclick: () => this.startWith(text) }, t('openWith', { name: text })));
    }
    fill(this.people, h('h2', null, t('people')), rows);
  }

  async startWith(username) {
    try {
      const room = await api.openChat(username);
      this.clearSearch();
      this.created(room.id);
    } catch (error) {
      toast(errorText(error));
    }
  }

  created(id) {
    this.onOpen(id);
    this.onRooms();
  }

  clearSearch() {
    this.search.value = '';
    this.typed();
  }
}

function roomItem(room, { selected, unsent }) {
  const last = room.last_message;
  const unread = selected && !document.hidden ? 0 : room.unread_count;
  return h('li', null,
    h('a', {
      href: `#/chat/${room.id}`, class: `room ${unread ? 'has-unread' : ''}`, 'aria-current': selected ? 'true' : null,
      data: { testid: 'room', roomId: room.id },
    },
    roomAvatar(room),
    h('span', { class: 'room-name' }, h('bdi', null, room.display_name), isMuted(room) ? h('span', { class: 'muted-mark', role: 'img', 'aria-label': t('muted'), title: t('muted') }, icon('muted')) : null),
    h('span', { class: 'room-time' }, last ? briefLabel(Date.parse(last.created_at)) : ''),
    h('span', { class: 'room-last' }, unsent ? h('span', { class: 'unsent' }, `${unsent} ·`) : null, preview(room)),
    unread ? h('span', { class: `badge ${isMuted(room) ? 'quiet-badge' : ''}`, role: 'img', 'aria-label': t('unread', { n: unread }), data: { testid: 'unread' } }, unread > 99 ? '99+' : String(unread)) : null));
}

/** What the person has chosen for a room that is listed. */
export const isMuted = (room) => room.participants.find((one) => one.user.id === session().user.id)?.is_muted === true;

/** A message in a few words. */
export function previewText(message) {
  const labels = { image: 'photo', video: 'video', audio: 'audio', file: 'file' };
  return message.content || t(labels[message.message_type] ?? 'file');
}

function preview({ last_message: last, chat_type: type }) {
  if (!last) return h('span', null, t('noMessages'));
  const text = previewText(last);
  const shown = h('span', { dir: 'auto' }, text);
  if (last.sender.username === session().user.username) return [h('span', null, `${t('you')}:`), shown];
  return type === 'private' ? shown : [h('span', null, h('bdi', null, last.sender.display_name), ':'), shown];
}

/** What only this page has of a room: files being uploaded, or texts that were not sent. */
function unsentLabel(roomId) {
  const { list } = uploadsOf(roomId);
  const waiting = live().unsent.get().topics[`room:${roomId.replaceAll('-', '')}`] ?? 0;
  if (waiting > 0 || list.some((upload) => upload.status === 'failed')) return t('unsent');
  return list.length > 0 ? t('sending') : '';
}

function personButton(user, onclick) {
  return h('button', { type: 'button', class: 'person', onclick, data: { testid: 'user-result', username: user.username } },
    avatar(user), h('span', { class: 'room-name', dir: 'auto' }, user.display_name), h('span', { class: 'room-last' }, `@${user.username}`));
}
