// The dialog that gathers people into a new group.

import * as api from './api.js';
import { h, fill, openDialog } from './dom.js';
import { errorText, t } from './i18n.js';
import { avatar } from './media.js';
import { peoplePicker } from './people_picker.js';

const MEMBERS_MIN = 2;

/** `onCreated(roomId)` is called once the group exists. */
export function openGroupDialog(onCreated) {
  const chosen = new Map();
  const name = h('input', { type: 'text', id: 'group-name', dir: 'auto', required: true, maxlength: 100, autocomplete: 'off' });
  const { input: search, list: found, problem: notFound } = peoplePicker({ id: 'group-search', row: choice });
  const chips = h('ul', { class: 'chips' });
  const count = h('p', { class: 'hint', role: 'status' });
  const problem = h('p', { class: 'problem', role: 'alert' });
  const create = h('button', { type: 'submit', class: 'primary', id: 'group-create' }, t('create'));
  const cancel = h('button', { type: 'button', class: 'plain', onclick: () => dialog.close() }, t('cancel'));
  const form = h('form', { class: 'group-form' },
    h('h2', null, t('newGroup')),
    h('div', { class: 'field' }, h('label', { for: 'group-name' }, t('groupName')), name),
    h('div', { class: 'field' }, h('label', { for: 'group-search' }, t('groupMembers')), search),
    chips, found, notFound, count, problem, h('div', { class: 'buttons' }, cancel, create));

  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    create.disabled = true;
    try {
      const { id } = await api.createGroup(name.value.trim(), [...chosen.keys()]);
      dialog.close();
      if (id) onCreated(id);
    } catch (error) {
      problem.textContent = errorText(error);
      drawChosen();
    }
  });

  function choice(user) {
    const box = h('input', { type: 'checkbox', checked: chosen.has(user.id), data: { username: user.username } });
    box.addEventListener('change', () => {
      if (box.checked) chosen.set(user.id, user);
      else chosen.delete(user.id);
      drawChosen();
    });
    return h('li', null, h('label', { class: 'person' }, box, avatar(user, 'small'),
      h('span', { class: 'room-name', dir: 'auto' }, user.display_name), h('span', { class: 'room-last' }, `@${user.username}`)));
  }

  function drawChosen() {
    fill(chips, [...chosen.values()].map((user) => h('li', { class: 'chip' }, avatar(user, 'tiny'), h('bdi', null, user.display_name))));
    count.textContent = t('groupCount', { n: chosen.size });
    create.disabled = chosen.size < MEMBERS_MIN;
  }

  const dialog = openDialog(t('newGroup'), form);
  drawChosen();
  name.focus();
}
