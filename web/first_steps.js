// Instructions for a person without any chat.

import { h } from './dom.js';
import { t } from './i18n.js';
import { LOGO } from './icons.js';
import { session } from './session.js';

/** A tab opened without an opener starts with empty session storage, hence signed out. */
export function firstSteps() {
  const { username } = session().user;
  return h('section', { class: 'empty', data: { empty: 'first' } },
    h('img', { src: LOGO, alt: '' }),
    h('h2', null, t('emptyTitle')),
    h('ol', { class: 'steps' }, h('li', null, t('empty1')), h('li', null, t('empty2')), h('li', null, t('empty3', { name: username }))),
    h('a', { class: 'primary', href: '/', target: '_blank', rel: 'noopener' }, t('openTab')));
}
