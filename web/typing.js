// The words for who is typing.

import { h } from './dom.js';
import { t } from './i18n.js';

/** Empty for nobody. */
export function typingText(names) {
  const [a, b] = names;
  return names.length === 0 ? '' : t(['typing1', 'typing2'][names.length - 1] ?? 'typingMany', { a, b });
}

export const typingDots = () => h('span', { class: 'dots', 'aria-hidden': 'true' }, h('i'), h('i'), h('i'));
