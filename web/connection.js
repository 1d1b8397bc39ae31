// The label that shows whether a socket is live, and when it reconnects.

import { h, fill } from './dom.js';
import { serverText, t } from './i18n.js';

export class ConnectionLabel {
  constructor(attributes, { onRetry, closedText = 'closed' }) {
    this.onRetry = onRetry;
    this.closedText = closedText;
    this.element = h('div', { class: 'connection', role: 'status', ...attributes });
  }

  close() {
    clearInterval(this.ticker);
  }

  show(state) {
    const shown = JSON.stringify(state);
    if (shown === this.shown) return;
    this.shown = shown;
    clearInterval(this.ticker);
    this.element.dataset.state = state.name;
    const label = h('span', { class: 'connection-label' });
    if (state.name === 'waiting') {
      const count = () => {
        label.textContent = t('retryIn', { n: Math.max(1, Math.ceil((state.until - Date.now()) / 1000)) });
      };
      count();
      this.ticker = setInterval(count, 500);
      fill(this.element, label, h('button', { type: 'button', class: 'plain', onclick: this.onRetry }, t('retryNow')));
      return;
    }
    label.textContent = state.name !== 'closed' ? t(state.name) : state.removed ? t(this.closedText) : serverText(state.text, t('closed'));
    fill(this.element, label);
  }
}
