// The picker of emoji beside a text field.

import { h, fill } from './dom.js';
import { EMOJI } from './emoji.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { readObject, write } from './storage.js';

const RECENT_KEY = 'pregon.emoji';
const RECENT_MAX = 16;
const MARGIN = 8;

/** A button that opens the picker; what is chosen goes into `field` where the cursor is. */
export function emojiButton(field) {
  const button = h('button', { type: 'button', class: 'icon-button emoji-button', 'aria-label': t('emoji'), title: t('emoji'), 'aria-haspopup': 'dialog', data: { testid: 'emoji' } }, icon('smile'));
  button.addEventListener('click', () => open(button, field));
  return button;
}

const recent = () => readObject(RECENT_KEY, 'device') ?? [];

function open(button, field) {
  // The field loses its cursor to the picker.
  const { selectionStart: from, selectionEnd: to } = field;
  const groups = Object.entries(recent().length > 0 ? { recent: recent(), ...EMOJI } : EMOJI);
  const list = h('div', { class: 'emoji-list' });
  const tabs = groups.map(([name, emoji]) => {
    const tab = h('button', { type: 'button', class: 'emoji-tab', 'aria-label': t(name), title: t(name), onclick: () => show(name) }, emoji[0]);
    return [name, tab];
  });

  function show(wanted) {
    for (const [name, tab] of tabs) tab.setAttribute('aria-pressed', String(name === wanted));
    const emoji = groups.find(([name]) => name === wanted)[1];
    fill(list, emoji.map((one) => h('button', { type: 'button', class: 'emoji-choice', data: { emoji: one }, onclick: () => choose(one) }, one)));
  }

  function choose(emoji) {
    picker.hidePopover();
    write(RECENT_KEY, JSON.stringify([emoji, ...recent().filter((one) => one !== emoji)].slice(0, RECENT_MAX)), 'device');
    field.focus();
    field.setRangeText(emoji, from, to, 'end');
    field.dispatchEvent(new Event('input'));
  }

  const picker = h('div', { class: 'emoji-picker', id: 'emoji-picker', popover: 'auto', role: 'dialog', 'aria-label': t('emoji') },
    h('div', { class: 'emoji-tabs' }, tabs.map(([, tab]) => tab)), list);
  picker.addEventListener('toggle', (event) => {
    if (event.newState !== 'closed') return;
    picker.remove();
    if (document.activeElement === document.body) button.focus();
  });
  document.body.append(picker);
  show(groups[0][0]);
  picker.showPopover();
  const at = button.getBoundingClientRect();
  const { width, height } = picker.getBoundingClientRect();
  picker.style.left = `${Math.min(Math.max(MARGIN, at.left + at.width / 2 - width / 2), innerWidth - width - MARGIN)}px`;
  picker.style.top = `${at.top - height - MARGIN > MARGIN ? at.top - height - MARGIN : Math.min(at.bottom + MARGIN, innerHeight - height - MARGIN)}px`;
  list.querySelector('button').focus();
}
