// A search for people with something to press beside each of them.

import * as api from './api.js';
import { h, fill } from './dom.js';
import { errorText, t } from './i18n.js';
import { session } from './session.js';

const SEARCH_AFTER_MS = 250;

/** `row(user)` draws somebody who was found. Resolves to `{ input, list, problem, draw }`. */
export function peoplePicker({ id, row }) {
  const input = h('input', { type: 'search', id, dir: 'auto', autocomplete: 'off', placeholder: t('searchPlaceholder'), 'aria-label': t('searchPlaceholder') });
  const list = h('ul', { class: 'found' });
  const problem = h('p', { class: 'problem', role: 'alert' });
  let found = [];
  let timer;
  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(find, SEARCH_AFTER_MS);
  });
  input.addEventListener('keydown', (event) => {
    if (event.key === 'Enter') event.preventDefault();
  });

  const draw = () => fill(list, found.map(row));

  async function find() {
    const text = input.value.trim();
    if (text === '') return fill(list);
    try {
      const users = await api.searchUsers(text);
      if (text !== input.value.trim()) return;
      problem.textContent = '';
      found = users.filter((user) => user.id !== session().user.id);
      draw();
      if (!list.firstChild) fill(list, h('li', { class: 'hint' }, t('nobodyFound', { text })));
    } catch (error) {
      problem.textContent = errorText(error);
    }
  }
  return { input, list, problem, draw };
}
