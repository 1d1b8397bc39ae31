// The settings: how the page looks and speaks, when it calls for attention, and the account.

import * as feedApi from './feed_api.js';
import { h, fill, toast } from './dom.js';
import { errorText, language, LANGUAGES, serverText, t } from './i18n.js';
import { icon } from './icons.js';
import { avatar } from './media.js';
import { personAddress } from './person_row.js';
import { notifies, setLanguage, setNotifies, setTheme, theme } from './prefs.js';
import { beginPush, canPush, endPush, isPushed } from './push.js';
import { stays } from './session.js';

/** `onSignOut()` ends the session. */
export function settingsView({ onSignOut }) {
  return h('section', { class: 'feed', id: 'settings-view' }, h('div', { class: 'feed-scroll' }, h('div', { class: 'feed-columns single' }, h('div', { class: 'feed-main' },
    h('div', { class: 'feed-head' }, h('h1', null, t('settings'))),
    appearance(), attention(), blocks(), password(), account(onSignOut)))));
}

function card(title, ...children) {
  return h('section', { class: 'card settings-card' }, h('h2', null, title), ...children);
}

function appearance() {
  const themes = [['', 'themeSystem'], ['light', 'themeLight'], ['dark', 'themeDark']].map(([value, label]) => {
    const input = h('input', { type: 'radio', name: 'theme', value, id: `theme-${value || 'system'}` });
    input.checked = (theme() ?? '') === value;
    input.addEventListener('change', () => setTheme(value || null));
    return h('label', { class: 'check' }, input, h('span', null, t(label)));
  });
  const languages = h('select', { id: 'language', 'aria-label': t('language') }, Object.entries(LANGUAGES).map(([code, name]) => h('option', { value: code, lang: code, selected: code === language }, name)));
  languages.addEventListener('change', () => {
    setLanguage(languages.value);
    location.reload();
  });
  return card(t('appearance'),
    h('fieldset', { class: 'choices' }, h('legend', null, t('theme')), themes),
    h('div', { class: 'field' }, h('label', { for: 'language' }, t('language')), languages));
}

function attention() {
  const box = h('input', { type: 'checkbox', id: 'notify' });
  const hint = h('span', { class: 'hint' }, t('notifyHint'));
  const isThere = 'Notification' in globalThis;
  const push = pushSwitch();
  box.checked = notifies();
  box.disabled = !isThere;
  push.allow(box.checked);
  if (!isThere || Notification.permission === 'denied') hint.textContent = t('notifyDenied');
  box.addEventListener('change', async () => {
    const isAllowed = box.checked && (await Notification.requestPermission()) === 'granted';
    if (box.checked) hint.textContent = t(isAllowed ? 'notifyHint' : 'notifyDenied');
    box.checked = isAllowed;
    setNotifies(isAllowed);
    push.allow(isAllowed);
    await push.turn(isAllowed);
  });
  return card(t('notifications'), h('label', { class: 'check' }, box, h('span', null, t('notify'), hint)), push.element);
}

/** What `subscribePush` says, as advice. */
const PUSH_FAILURES = { push_denied: 'notifyDenied', push_unavailable: 'pushUnavailable', push_off: 'pushOff' };

/** Being told while no page is open. It is shown where the server and the browser have it, and is on when it works. */
function pushSwitch() {
  const box = h('input', { type: 'checkbox', id: 'push', disabled: true });
  const hint = h('span', { class: 'hint' }, t('pushHint'));
  const problem = h('span', { class: 'problem', role: 'alert', id: 'push-problem' });
  const element = h('label', { class: 'check', hidden: true }, box, h('span', null, t('push'), hint, problem));
  let isAllowed = false;
  let shown = false;
  const turn = async (isOn) => {
    if (!shown) return;
    box.disabled = true;
    problem.textContent = '';
    try {
      await (isOn ? beginPush() : endPush());
    } catch (error) {
      problem.textContent = error.code in PUSH_FAILURES ? t(PUSH_FAILURES[error.code]) : errorText(error);
    }
    box.checked = await isPushed();
    box.disabled = !isAllowed;
  };
  const show = async () => {
    if (!(await canPush())) return;
    box.checked = isAllowed && (await isPushed());
    box.disabled = !isAllowed;
    shown = true;
    element.hidden = false;
  };
  const whether = show();
  box.addEventListener('change', () => turn(box.checked));
  const allow = (is) => {
    isAllowed = is;
    box.disabled = !is || !shown;
  };
  return { element, allow, turn: (isOn) => whether.then(() => turn(isOn)) };
}

/** Whom this person has blocked. */
function blocks() {
  const list = h('ul', { class: 'found-people', id: 'blocked' });
  const note = h('p', { class: 'hint', role: 'status' });
  const load = async () => {
    try {
      const answer = await feedApi.blocked();
      const people = Array.isArray(answer) ? answer : answer.results;
      note.textContent = people.length === 0 ? t('nobodyBlocked') : '';
      fill(list, people.map(row));
    } catch (error) {
      note.textContent = errorText(error);
    }
  };
  const row = (user) => h('li', { class: 'member', data: { testid: 'blocked', username: user.username } }, avatar(user, 'small'),
    h('span', { class: 'found-who' }, h('a', { class: 'person-link', href: personAddress(user.username), dir: 'auto' }, user.display_name), h('span', { class: 'hint' }, `@${user.username}`)),
    h('button', { type: 'button', class: 'quiet', onclick: async (event) => {
      event.currentTarget.disabled = true;
      await feedApi.unblock(user.username).catch((error) => toast(errorText(error)));
      load();
    } }, t('unblock')));
  load();
  return card(t('blockedTitle'), note, list);
}

function password() {
  const field = (name, autocomplete) => {
    const input = h('input', { type: 'password', id: name, name, autocomplete, required: true, minlength: name === 'new-password' ? 8 : null });
    return { input, element: h('div', { class: 'field' }, h('label', { for: name }, t(name === 'new-password' ? 'newPassword' : 'oldPassword')), input) };
  };
  const [old, fresh] = [field('old-password', 'current-password'), field('new-password', 'new-password')];
  const problem = h('p', { class: 'problem', role: 'alert' });
  const save = h('button', { type: 'submit', class: 'primary', id: 'change-password' }, t('changePassword'));
  const form = h('form', { class: 'group-form' }, old.element, fresh.element, h('p', { class: 'hint' }, t('passwordChangeHint')), problem, h('div', { class: 'buttons' }, save));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    save.disabled = true;
    problem.textContent = '';
    try {
      await feedApi.changePassword(old.input.value, fresh.input.value);
      form.reset();
      toast(t('passwordChanged'));
    } catch (error) {
      const texts = Object.values(error.fields ?? {}).flat();
      problem.textContent = texts.length > 0 ? texts.map((text) => serverText(text)).join(' ') : errorText(error);
    }
    save.disabled = false;
  });
  return card(t('password'), form);
}

function account(onSignOut) {
  return card(t('account'),
    h('p', { class: 'hint' }, t(stays() ? 'staysHint' : 'tabHint')),
    h('div', { class: 'buttons' }, h('button', { type: 'button', class: 'quiet', id: 'sign-out', onclick: onSignOut }, icon('leave'), t('logout'))));
}
