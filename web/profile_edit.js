// The dialog that changes the own profile.

import * as feedApi from './feed_api.js';
import { h, openDialog } from './dom.js';
import { errorText, serverText, t } from './i18n.js';
import { avatar } from './media.js';
import { saveSession, session } from './session.js';

const PICTURE_BYTES_MAX = 5 * 1024 * 1024;
const TEXTS = [['display_name', 100], ['bio', 500], ['position', 100], ['team', 100]];

/** `onSaved(user)` gets the profile as it is now. */
export function editProfile(user, onSaved) {
  let picture = null;
  const face = h('span', { class: 'edit-face' }, avatar(user, 'large'));
  const problem = h('p', { class: 'problem', role: 'alert' });
  const picker = h('input', { type: 'file', id: 'avatar-file', accept: 'image/jpeg,image/png,image/webp', class: 'hidden-label', tabindex: -1, 'aria-label': t('changePicture') });
  picker.addEventListener('change', () => {
    const [file] = picker.files;
    if (!file) return;
    problem.textContent = file.size > PICTURE_BYTES_MAX ? t('pictureTooLarge') : '';
    if (file.size > PICTURE_BYTES_MAX) return;
    picture = file;
    const address = URL.createObjectURL(file);
    dialog.addEventListener('close', () => URL.revokeObjectURL(address));
    face.replaceChildren(h('span', { class: 'avatar large' }, h('img', { src: address, alt: '' })));
  });
  const fields = TEXTS.map(([name, max]) => {
    const id = `profile-${name.replace('_', '-')}`;
    const input = h(name === 'bio' ? 'textarea' : 'input', { id, name, maxlength: max, dir: 'auto', rows: name === 'bio' ? 3 : null, value: user[name] ?? '', required: name === 'display_name' });
    const note = h('span', { class: 'problem' });
    return { name, input, note, element: h('div', { class: 'field' }, h('label', { for: id }, t(`profile_${name}`)), input, note) };
  });
  const isPrivate = h('input', { type: 'checkbox', id: 'profile-private' });
  isPrivate.checked = user.is_private;
  const save = h('button', { type: 'submit', class: 'primary', id: 'save-profile' }, t('save'));
  const form = h('form', { class: 'group-form' }, h('h2', null, t('editProfile')),
    h('div', { class: 'edit-picture' }, face, h('button', { type: 'button', class: 'plain', onclick: () => picker.click() }, t('changePicture')), picker),
    fields.map((field) => field.element),
    h('label', { class: 'check' }, isPrivate, h('span', null, t('privateProfile'))),
    problem, h('div', { class: 'buttons' }, h('button', { type: 'button', class: 'plain', onclick: () => dialog.close() }, t('cancel')), save));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    save.disabled = true;
    problem.textContent = '';
    for (const { note } of fields) note.textContent = '';
    try {
      if (picture) await feedApi.changeAvatar(picture, () => {}, new AbortController().signal);
      const texts = Object.fromEntries(fields.map(({ name, input }) => [name, input.value.trim()]));
      const changed = await feedApi.changeProfile({ ...texts, is_private: isPrivate.checked });
      saveSession({ user: { ...session().user, ...changed } });
      dialog.close();
      onSaved(changed);
    } catch (error) {
      const named = fields.filter(({ name }) => error.fields?.[name]);
      for (const { name, note } of named) note.textContent = serverText(error.fields[name][0]);
      if (named.length === 0) problem.textContent = errorText(error);
    }
    save.disabled = false;
  });
  const dialog = openDialog(t('editProfile'), form);
}
