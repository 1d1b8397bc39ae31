// The search in the messages of an open room.

import * as api from './api.js';
import { h, fill } from './dom.js';
import { errorText, t } from './i18n.js';
import { icon } from './icons.js';
import { sentAt } from './message_data.js';
import { previewText } from './rooms_view.js';
import { briefLabel, fullLabel } from './time.js';

const SEARCH_AFTER_MS = 300;
/** One answer has looked at some thousands of messages, and may have found none of them; so many are asked for by one search. */
const ANSWERS_MAX = 5;

/** `onFound(id)` shows a message. */
export function roomSearch(roomId, { onFound }) {
  const input = h('input', { type: 'search', id: 'room-search', dir: 'auto', autocomplete: 'off', placeholder: t('searchMessages'), 'aria-label': t('searchMessages') });
  const list = h('ul', { class: 'hits', id: 'hits' });
  const note = h('p', { class: 'hint', role: 'status' });
  const more = h('button', { type: 'button', class: 'plain more', hidden: true, onclick: () => load() }, t('moreHits'));
  const close = h('button', { type: 'button', class: 'icon-button', 'aria-label': t('close'), title: t('close'), onclick: () => hide() }, icon('close'));
  const element = h('div', { class: 'room-search', hidden: true, role: 'search' }, h('div', { class: 'search' }, icon('search'), input, close), note, list, more);
  let found = [];
  let next = null;
  let timer;

  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(start, SEARCH_AFTER_MS);
  });
  input.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') hide();
  });

  function start() {
    found = [];
    next = null;
    fill(list);
    more.hidden = true;
    note.textContent = '';
    if (input.value.trim() !== '') load();
  }

  async function load() {
    const text = input.value.trim();
    more.disabled = true;
    note.textContent = t('searching');
    const known = found.length;
    try {
      for (let asked = 0; asked < ANSWERS_MAX && found.length === known; asked += 1) {
        const answer = next ? await api.nextPage(next) : await api.searchMessages(roomId, text);
        if (text !== input.value.trim()) return;
        found.push(...answer.results);
        next = answer.next;
        if (!next) break;
      }
      note.textContent = found.length === 0 ? t('noHits', { text }) : '';
    } catch (error) {
      note.textContent = errorText(error);
    }
    more.disabled = false;
    more.hidden = next === null;
    fill(list, found.map(hit));
  }

  const hit = (message) => h('li', null, h('button', { type: 'button', class: 'hit', data: { testid: 'hit' }, onclick: () => onFound(message.id) },
    h('span', { class: 'hit-who' }, h('bdi', null, message.sender.display_name), h('time', { class: 'hint', datetime: message.created_at, title: fullLabel(sentAt(message)) }, briefLabel(sentAt(message)))),
    h('span', { class: 'hit-text', dir: 'auto' }, previewText(message))));

  function hide() {
    element.hidden = true;
    input.value = '';
    start();
  }

  return {
    element,
    toggle() {
      if (!element.hidden) return hide();
      element.hidden = false;
      input.focus();
    },
  };
}
