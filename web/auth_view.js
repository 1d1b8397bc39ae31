// The entrance: log in or create an account.

import { login, register } from './api.js';
import { h } from './dom.js';
import { errorText, serverText, t } from './i18n.js';
import { icon, LOGO } from './icons.js';

/** `onSignedIn()` is called once the tab has a session. */
export function authView({ onSignedIn }) {
  const card = h('section', { class: 'auth-card' });
  show('register');

  function show(mode) {
    card.replaceChildren(tabs(mode), mode === 'login' ? loginForm() : registerForm());
    // On a phone, focus would open the keyboard over the page at once.
    if (matchMedia('(hover: hover)').matches) queueMicrotask(() => card.querySelector('input').focus());
  }

  function tabs(mode) {
    const tab = (name) =>
      h('button', { type: 'button', id: `${name}-tab`, class: 'auth-tab', 'aria-pressed': String(mode === name), onclick: () => show(name) }, t(name));
    return h('div', { class: 'auth-tabs' }, tab('register'), tab('login'));
  }

  function loginForm() {
    return form('login', [
      field('login', 'loginField', { autocomplete: 'username', required: true, autocapitalize: 'none', spellcheck: 'false' }),
      passwordField('current-password'),
    ], login);
  }

  function registerForm() {
    const username = field('username', 'username', {
      autocomplete: 'username', required: true, minlength: 3, maxlength: 30, pattern: '[a-zA-Z0-9_]+',
      title: t('usernameRule'), autocapitalize: 'none', spellcheck: 'false',
    }, t('usernameHint'));
    const name = field('display_name', 'displayName', { autocomplete: 'name', required: true, minlength: 2, maxlength: 100 });
    const email = field('email', 'email', { type: 'email', autocomplete: 'email', required: true, maxlength: 254 }, t('emailHint'));
    suggest(name, username, (text) => usernameFrom(text));
    suggest(username, email, (text) => (text ? `${text.toLowerCase()}@example.com` : ''));
    return form('register', [name, username, email, passwordField('new-password', t('passwordHint'))], (fields) =>
      register({ ...fields, password_confirm: fields.password }));
  }

  function form(mode, fields, submit) {
    const problem = h('p', { class: 'problem', role: 'alert', id: 'auth-problem' });
    const button = h('button', { class: 'primary wide', type: 'submit', id: 'submit' }, t(mode));
    const stay = h('input', { type: 'checkbox', id: 'stay', name: 'stay', value: 'yes' });
    const element = h('form', { class: 'auth-form', id: `${mode}-form` }, fields,
      h('label', { class: 'check' }, stay, h('span', null, t('staySignedIn'), h('span', { class: 'hint' }, t('stayHint')))), problem, button);
    element.addEventListener('submit', async (event) => {
      event.preventDefault();
      button.disabled = true;
      problem.textContent = '';
      for (const one of fields) one.showProblem('');
      try {
        await submit({ ...Object.fromEntries(new FormData(element)), stay: stay.checked });
        onSignedIn();
      } catch (error) {
        showProblems(error);
      } finally {
        button.disabled = false;
      }
    });

    function showProblems(error) {
      let first = null;
      for (const one of fields) {
        const texts = error.fields?.[one.name];
        if (!texts) continue;
        one.showProblem(texts.map((text) => serverText(text)).join(' '));
        first ??= one;
      }
      if (first) first.input.focus();
      else problem.textContent = errorText(error);
    }
    return element;
  }

  return h('main', { class: 'auth' }, welcome(), card);
}

function welcome() {
  const step = (key) => h('li', null, t(key));
  return h('section', { class: 'welcome' },
    h('h1', { class: 'wordmark' }, h('img', { src: LOGO, alt: '' }), 'pregon'),
    h('p', { class: 'tagline' }, t('tagline')),
    h('p', { class: 'pitch' }, t('pitch')),
    h('ol', { class: 'steps' }, ['step1', 'step2', 'step3'].map(step)),
    h('p', { class: 'note' }, t('tabsNote')));
}

function field(name, label, attributes, hint = '') {
  const id = name.replace('_', '-');
  const note = h('span', { class: 'hint', id: `${id}-note` }, hint);
  const input = h('input', { type: 'text', dir: 'auto', id, name, 'aria-describedby': note.id, ...attributes });
  const element = h('div', { class: 'field' }, h('label', { for: id }, t(label)), input, note);
  element.showProblem = (text) => {
    note.textContent = text || hint;
    element.classList.toggle('wrong', text !== '');
    input.setAttribute('aria-invalid', String(text !== ''));
  };
  return Object.assign(element, { name, input });
}

function passwordField(autocomplete, hint) {
  const minlength = autocomplete === 'new-password' ? 8 : null;
  const element = field('password', 'password', { type: 'password', autocomplete, required: true, minlength }, hint);
  const reveal = h('button', { type: 'button', class: 'icon-button reveal', 'aria-label': t('showPassword'), 'aria-pressed': 'false' }, icon('eye'));
  reveal.addEventListener('click', () => {
    const shown = element.input.type === 'password';
    element.input.type = shown ? 'text' : 'password';
    reveal.setAttribute('aria-pressed', String(shown));
  });
  element.classList.add('with-button');
  element.input.after(reveal);
  return element;
}

/** Copies `source` to `target` until somebody types there. */
function suggest(source, target, make) {
  let touched = false;
  target.input.addEventListener('input', (event) => {
    touched = event.isTrusted && target.input.value !== '';
  });
  source.input.addEventListener('input', () => {
    if (touched) return;
    target.input.value = make(source.input.value);
    target.input.dispatchEvent(new Event('input'));
  });
}

function usernameFrom(text) {
  const plain = text.normalize('NFD').replace(/[\u0300-\u036f]/g, '').toLowerCase();
  return plain.trim().replace(/[^a-z0-9]+/g, '_').replace(/^_+|_+$/g, '').slice(0, 30);
}
