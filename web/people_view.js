// People to follow: a search, with the relation between the reader and each person found.

import { searchUsers } from './api.js';
import * as feedApi from './feed_api.js';
import { h, fill, toast } from './dom.js';
import { errorText, t } from './i18n.js';
import { icon } from './icons.js';
import { avatar } from './media.js';
import { session } from './session.js';

const SEARCH_AFTER_MS = 250;

export class PeopleView {
  /** `onFollowed()` is called after somebody was followed or unfollowed. */
  constructor({ onFollowed }) {
    this.onFollowed = onFollowed;
    /** The shown people, by username: `{ user, draw }`. */
    this.rows = new Map();
    this.input = h('input', { type: 'search', id: 'people-search', dir: 'auto', autocomplete: 'off', placeholder: t('findPeople'), 'aria-label': t('findPeople'), 'aria-describedby': 'people-hint' });
    this.input.addEventListener('input', () => this.typed());
    this.input.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.search('');
    });
    this.found = h('ul', { class: 'found-people', id: 'found-people' });
    this.hint = h('p', { class: 'hint', id: 'people-hint', role: 'status' }, t('findPeopleHint'));
    this.element = h('aside', { class: 'feed-side', 'aria-label': t('findPeople') },
      h('div', { class: 'card' }, h('div', { class: 'search' }, icon('search'), this.input), this.hint, this.found));
  }

  close() {
    clearTimeout(this.timer);
  }

  /** Puts a name into the search, as if it had been typed. */
  search(text) {
    this.input.value = text;
    this.typed();
    this.input.focus();
  }

  typed() {
    clearTimeout(this.timer);
    if (this.query() === '') {
      fill(this.found);
      this.hint.textContent = t('findPeopleHint');
      return;
    }
    this.timer = setTimeout(() => this.find(), SEARCH_AFTER_MS);
  }

  query() {
    return this.input.value.trim().replace(/^@/, '');
  }

  async find() {
    const text = this.query();
    let people = [];
    let hint = '';
    try {
      people = (await searchUsers(text)).filter((user) => user.id !== session().user.id);
      if (people.length === 0) hint = t('nobodyFound', { text });
    } catch (error) {
      hint = errorText(error);
    }
    if (text !== this.query()) return;
    this.hint.textContent = hint;
    this.rows.clear();
    fill(this.found, people.map((user) => this.row(user)));
  }

  /** The bell got news of a person: a friend request came, or was accepted. */
  changed(username, fields) {
    const row = this.rows.get(username);
    if (!row) return;
    Object.assign(row.user, fields);
    row.draw();
  }

  row(user) {
    const row = h('li', { class: 'found-person', data: { testid: 'person', username: user.username } });
    const draw = () => fill(row, avatar(user),
      h('div', { class: 'found-who' }, h('strong', { dir: 'auto' }, user.display_name), h('span', { class: 'hint' }, `@${user.username}`), friendship(user, draw)),
      this.followButton(user, draw));
    this.rows.set(user.username, { user, draw });
    draw();
    return row;
  }

  followButton(user, draw) {
    const label = t(user.is_following ? 'unfollowName' : 'followName', { name: user.display_name });
    return h('button', {
      type: 'button', class: user.is_following ? 'quiet' : 'primary', 'aria-pressed': String(user.is_following), 'aria-label': label, title: label,
      data: { testid: 'follow' }, onclick: (event) => this.follow(user, draw, event.currentTarget),
    }, t(user.is_following ? 'following' : 'follow'));
  }

  async follow(user, draw, button) {
    button.disabled = true;
    try {
      await (user.is_following ? feedApi.unfollow(user.username) : feedApi.follow(user.username));
      user.is_following = !user.is_following;
      this.onFollowed();
    } catch (error) {
      toast(errorText(error));
    }
    const row = button.parentElement;
    const focused = document.activeElement === button || document.activeElement === document.body;
    draw();
    if (focused) row?.querySelector('[data-testid=follow]')?.focus();
  }
}

/** Friends, an open request, or the button to send one. */
function friendship(user, draw) {
  const requests = { sent: 'requestSent', received: 'requestReceived' };
  const state = user.is_friend ? 'friends' : requests[user.friend_request_status];
  if (state) return h('span', { class: 'hint' }, t(state));
  const button = h('button', { type: 'button', class: 'link', 'aria-label': t('addFriendName', { name: user.display_name }), data: { testid: 'add-friend' } }, t('addFriend'));
  button.addEventListener('click', async () => {
    button.disabled = true;
    try {
      await feedApi.requestFriend(user.username);
      user.friend_request_status = 'sent';
    } catch (error) {
      toast(errorText(error));
    }
    draw();
  });
  return button;
}
