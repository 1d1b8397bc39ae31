// Overlays on a message: the menu of reactions and actions, the question before deleting, the large photo.

import { h, openDialog, toast } from './dom.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { REACTIONS } from './reactions.js';
import { ownReactions } from './message_data.js';

const MARGIN = 8;

/** Opens the menu beside `anchor`; `on` has `react`, `reply`, `edit`, `remove`. */
export function openMenu(message, anchor, me, on) {
  const own = message.sender.id === me.id;
  const mine = ownReactions(message, me.id);
  const choose = (action) => () => {
    menu.hidePopover();
    action();
  };
  const reactions = Object.entries(REACTIONS).map(([type, emoji]) =>
    h('button', {
      type: 'button', role: 'menuitemcheckbox', 'aria-checked': String(mine.has(type)), 'aria-label': t(type), title: t(type),
      data: { reaction: type }, onclick: choose(() => on.react(message, type)),
    }, emoji));
  const action = (name, iconName, run) =>
    h('button', { type: 'button', role: 'menuitem', data: { action: name }, onclick: choose(run) }, icon(iconName), t(name));
  const menu = h('div', { class: 'menu', id: 'message-menu', popover: 'auto', role: 'menu', 'aria-label': t('actions') },
    h('div', { class: 'menu-reactions', role: 'group', 'aria-label': t('react') }, reactions),
    action('reply', 'reply', () => on.reply(message)),
    message.content ? action('copy', 'copy', () => copy(message.content)) : null,
    own && message.message_type === 'text' ? action('edit', 'edit', () => on.edit(message)) : null,
    own ? action('delete', 'trash', () => confirmDelete(() => on.remove(message))) : null);
  document.body.append(menu);
  menu.showPopover();
  place(menu, anchor);
  menu.addEventListener('keydown', (event) => moveFocus(menu, event));
  menu.addEventListener('toggle', (event) => {
    if (event.newState !== 'closed') return;
    menu.remove();
    if (document.activeElement === document.body) anchor.focus();
  });
  menu.querySelector('button').focus();
}

/**
 * Above the anchor if there is room, and always inside the window. On a phone the style sheet makes it a bottom sheet.
 */
function place(menu, anchor) {
  if (matchMedia('(max-width: 719px)').matches) return;
  const at = anchor.getBoundingClientRect();
  const { width, height } = menu.getBoundingClientRect();
  const left = Math.min(Math.max(MARGIN, at.left + at.width / 2 - width / 2), innerWidth - width - MARGIN);
  const above = at.top - height - MARGIN;
  const top = above > MARGIN ? above : Math.min(at.bottom + MARGIN, innerHeight - height - MARGIN);
  menu.style.left = `${left}px`;
  menu.style.top = `${top}px`;
}

function moveFocus(menu, event) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const items = [...menu.querySelectorAll('button')];
  const index = items.indexOf(document.activeElement);
  items[(index + step + items.length) % items.length].focus();
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(t('copied'));
  } catch {
    toast(t('failed'));
  }
}

function confirmDelete(onYes) {
  const yes = h('button', { type: 'button', class: 'primary danger', id: 'confirm-delete', onclick: () => { dialog.close(); onYes(); } }, t('delete'));
  const no = h('button', { type: 'button', class: 'plain', onclick: () => dialog.close() }, t('cancel'));
  const dialog = openDialog(t('delete'), h('p', null, t('deleteAsk')), h('div', { class: 'buttons' }, no, yes));
  yes.focus();
}

/** A photo as large as the window; any click closes it. */
export function openPhoto(address, alt) {
  const dialog = openDialog(alt,
    h('img', { src: address, alt }),
    h('button', { type: 'button', class: 'icon-button close', 'aria-label': t('close') }, icon('close')));
  dialog.classList.add('viewer');
  dialog.addEventListener('click', () => dialog.close());
}
