// The question before something that cannot be undone, or that others see.

import { h, openDialog, toast } from './dom.js';
import { errorText, t } from './i18n.js';

/** `label` names what is done. `act()` may fail; then nothing closes. */
export function confirm(question, label, act) {
  const yes = h('button', { type: 'button', class: 'primary danger', data: { testid: 'sure' } }, label);
  const no = h('button', { type: 'button', class: 'plain', onclick: () => dialog.close() }, t('cancel'));
  yes.addEventListener('click', async () => {
    yes.disabled = true;
    try {
      await act();
      dialog.close();
    } catch (error) {
      yes.disabled = false;
      toast(errorText(error));
    }
  });
  const dialog = openDialog(question, h('p', null, question), h('div', { class: 'buttons' }, no, yes));
  no.focus();
}
