// People to follow: suggestions, or what a search has found, with the relation between the reader and each person.

import { searchUsers } from './api.js';
import * as feedApi from './feed_api.js';
import { h, fill } from './dom.js';
import { errorText, t } from './i18n.js';
import { icon } from './icons.js';
import { personRow } from './person_row.js';
import { session } from './session.js';

const SEARCH_AFTER_MS = 250;
const SUGGESTED_MAX = 5;

export class PeopleView {
  /** `onFollowed()` is called after somebody was followed or unfollowed. */
  constructor({ onFollowed }) {
    this.onFollowed = onFollowed;
    /** The shown people, by username: `{ user, draw }`. */
    this.rows = new Map();
    this.suggestions = [];
    this.input = h('input', { type: 'search', id: 'people-search', dir: 'auto', autocomplete: 'off', placeholder: t('findPeople'), 'aria-label': t('findPeople'), 'aria-describedby': 'people-hint' });
    this.input.addEventListener('input', () => this.typed());
    this.input.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.search('');
    });
    this.heading = h('h2', { class: 'suggested-head', hidden: true }, t('suggested'));
    this.found = h('ul', { class: 'found-people', id: 'found-people' });
    this.hint = h('p', { class: 'hint', id: 'people-hint', role: 'status' }, t('findPeopleHint'));
    this.element = h('aside', { class: 'feed-side', 'aria-label': t('findPeople') },
      h('div', { class: 'card' }, h('div', { class: 'search' }, icon('search'), this.input), this.hint, this.heading, this.found));
    this.suggest();
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
      this.hint.textContent = t('findPeopleHint');
      return this.show(this.suggestions, true);
    }
    // Who was suggested may be found, too, and then stands there anew.
    if (this.element.classList.contains('suggesting')) this.show([], false);
    this.timer = setTimeout(() => this.find(), SEARCH_AFTER_MS);
  }

  query() {
    return this.input.value.trim().replace(/^@/, '');
  }

  /** People whom the reader may like to follow; there are none where the server does not answer. */
  async suggest() {
    const { results } = await feedApi.suggested().catch(() => ({ results: [] }));
    this.suggestions = results.slice(0, SUGGESTED_MAX);
    if (this.query() === '') this.show(this.suggestions, true);
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
    this.show(people, false);
  }

  show(people, areSuggested) {
    this.heading.hidden = !areSuggested || people.length === 0;
    this.element.classList.toggle('suggesting', areSuggested);
    this.rows.clear();
    fill(this.found, people.map((user) => {
      const row = personRow(user, { onFollowed: this.onFollowed });
      this.rows.set(user.username, { user, draw: row.draw });
      return row.element;
    }));
  }

  /** The bell got news of a person: a friend request came, or was accepted. */
  changed(username, fields) {
    const row = this.rows.get(username);
    if (!row) return;
    Object.assign(row.user, fields);
    row.draw();
  }
}
