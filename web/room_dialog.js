// About a chat: who is in it, in which role, and what this person may change.

import * as api from './api.js';
import { confirm } from './confirm.js';
import { h, fill, openDialog, toast } from './dom.js';
import { errorText, t } from './i18n.js';
import { icon } from './icons.js';
import { avatar, roomAvatar } from './media.js';
import { peoplePicker } from './people_picker.js';
import { personAddress } from './person_row.js';
import { session } from './session.js';

/** Those who add and remove people. */
const MANAGERS = ['owner', 'admin'];
/** The roles that an owner gives. */
const ROLES = ['member', 'admin', 'owner'];
const PICTURE_BYTES_MAX = 5 * 1024 * 1024;

/** `onChanged()` is called after a change that the list of rooms shows; `onLeft()` after the person has left. */
export async function openRoomDialog(id, { onChanged, onLeft }) {
  let room;
  try {
    room = await api.roomPage(id, 1);
  } catch (error) {
    return toast(errorText(error));
  }
  const me = session().user.id;
  const own = () => room.participants.find((one) => one.user.id === me);
  const isGroup = room.chat_type !== 'private';
  let page = 1;

  const name = h('input', { id: 'room-name', dir: 'auto', maxlength: 100, required: true, 'aria-label': t('groupName') });
  const picker = h('input', { type: 'file', id: 'room-picture', accept: 'image/jpeg,image/png,image/webp', class: 'hidden-label', tabindex: -1, 'aria-label': t('changePicture') });
  picker.addEventListener('change', () => {
    const [file] = picker.files;
    if (!file) return;
    if (file.size > PICTURE_BYTES_MAX) return toast(t('pictureTooLarge'));
    attempt(async () => {
      await api.changeRoomPicture(id, file);
      await reload();
    });
  });
  const naming = h('form', { class: 'naming', hidden: true }, name, h('button', { type: 'submit', class: 'quiet', id: 'rename-room' }, t('save')),
    h('button', { type: 'button', class: 'quiet', onclick: () => picker.click() }, t('changePicture')), picker);
  naming.addEventListener('submit', (event) => {
    event.preventDefault();
    attempt(async () => {
      await api.changeRoom(id, { name: name.value.trim() });
      await reload();
    });
  });
  const head = h('div', { class: 'about-head' });
  const members = h('ul', { class: 'members', id: 'members', 'aria-label': t('membersTitle') });
  const more = h('button', { type: 'button', class: 'plain more', hidden: true, onclick: () => attempt(async () => {
    page += 1;
    const { participants } = await api.roomPage(id, page);
    const known = new Set(room.participants.map((one) => one.user.id));
    room.participants.push(...participants.filter((one) => !known.has(one.user.id)));
    draw();
  }) }, t('moreMembers'));
  const adding = h('div', { class: 'adding', hidden: true });
  const people = peoplePicker({ id: 'member-search', row: candidate });
  const add = h('button', { type: 'button', class: 'plain', id: 'add-members', hidden: true, onclick: () => {
    adding.hidden = false;
    people.input.focus();
  } }, icon('plus'), t('addMember'));
  fill(adding, people.input, people.list, people.problem);
  const mute = h('input', { type: 'checkbox', id: 'mute' });
  mute.addEventListener('change', () => attempt(async () => {
    await api.changeRoomSettings(id, { is_muted: mute.checked });
    own().is_muted = mute.checked;
    onChanged();
  }));
  const leave = h('button', { type: 'button', class: 'quiet danger-text', id: 'leave-group', hidden: !isGroup, onclick: () => confirm(t('leaveAsk'), t('leaveGroup'), async () => {
    await api.leaveRoom(id);
    dialog.close();
    onLeft();
  }) }, icon('leave'), t('leaveGroup'));

  async function attempt(work) {
    try {
      await work();
    } catch (error) {
      toast(errorText(error));
      draw();
    }
  }

  async function reload() {
    page = 1;
    room = await api.roomPage(id, 1);
    draw();
    onChanged();
  }

  function candidate(user) {
    const isIn = room.participants.some((one) => one.user.id === user.id);
    const button = h('button', { type: 'button', class: 'quiet', disabled: isIn, data: { testid: 'add-member', username: user.username }, onclick: () => {
      button.disabled = true;
      attempt(async () => {
        await api.addMember(id, user.id);
        toast(t('added'));
        await reload();
      }).finally(() => people.draw());
    } }, t('add'));
    return h('li', { class: 'member' }, avatar(user, 'small'),
      h('span', { class: 'found-who' }, h('bdi', null, user.display_name), h('span', { class: 'hint' }, `@${user.username}`)), button);
  }

  function memberRow({ user, role }) {
    const mayManage = MANAGERS.includes(own()?.role) && isGroup && user.id !== me && role !== 'owner';
    return h('li', { class: 'member', data: { testid: 'member', username: user.username, role } }, avatar(user, 'small'),
      h('span', { class: 'found-who' },
        h('a', { class: 'person-link', href: personAddress(user.username), dir: 'auto', onclick: () => dialog.close() }, user.display_name),
        h('span', { class: 'hint' }, `@${user.username}`, isGroup && role !== 'member' ? ` · ${t(`role_${role}`)}` : '')),
      own()?.role === 'owner' && isGroup && user.id !== me ? roleChoice(user, role) : null,
      mayManage ? h('button', {
        type: 'button', class: 'icon-button', 'aria-label': t('removeMember', { name: user.display_name }), title: t('removeMember', { name: user.display_name }), data: { testid: 'remove-member' },
        onclick: () => confirm(t('removeAsk', { name: user.display_name }), t('remove'), async () => {
          await api.removeMember(id, user.id);
          await reload();
        }),
      }, icon('close')) : null);
  }

  function roleChoice(user, role) {
    const label = t('roleOf', { name: user.display_name });
    const select = h('select', { class: 'audience', 'aria-label': label, title: label, data: { testid: 'role' } },
      ROLES.map((one) => h('option', { value: one, selected: one === role }, t(`role_${one}`))));
    select.addEventListener('change', () => {
      const wanted = select.value;
      const give = async () => {
        await api.setRole(id, user.id, wanted);
        await reload();
      };
      if (wanted !== 'owner') return attempt(give);
      select.value = role;
      confirm(t('handOverAsk', { name: user.display_name }), t('handOver'), give);
    });
    return select;
  }

  function draw() {
    const role = own()?.role;
    fill(head, roomAvatar(room, 'large'), h('div', null, h('h2', { dir: 'auto' }, room.display_name ?? room.name),
      h('p', { class: 'hint' }, isGroup ? t('members', { n: room.participants_count ?? room.participants.length }) : `@${room.other_user?.username ?? ''}`)));
    naming.hidden = !isGroup || !MANAGERS.includes(role);
    if (document.activeElement !== name) name.value = room.name;
    add.hidden = !isGroup || !MANAGERS.includes(role);
    mute.checked = own()?.is_muted === true;
    fill(members, room.participants.map(memberRow));
    more.hidden = (room.participants_count ?? 0) <= room.participants.length;
  }

  const dialog = openDialog(t('about'), head, naming,
    h('label', { class: 'check' }, mute, h('span', null, t('mute'), h('span', { class: 'hint' }, t('muteHint')))),
    h('div', { class: 'members-head' }, h('h3', null, t('membersTitle')), add), adding, members, more,
    h('div', { class: 'buttons' }, leave, h('button', { type: 'button', class: 'plain', onclick: () => dialog.close() }, t('close'))));
  dialog.id = 'room-dialog';
  draw();
}
