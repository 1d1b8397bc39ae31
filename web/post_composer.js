// Where posts are written: text and files, published together once every file has arrived.

import * as feedApi from './feed_api.js';
import { h, isComposing, toast } from './dom.js';
import { errorText, t } from './i18n.js';
import { icon } from './icons.js';
import { avatar } from './media.js';
import { session } from './session.js';
import { read, write } from './storage.js';
import { UploadList } from './upload.js';

const LENGTH_MAX = 2000;
const COUNTER_FROM = 1800;
const DRAFT_KEY = 'pregon.post-draft';

export class PostComposer {
  /** `feed()` is the store of the feed that shows what is published. */
  constructor({ feed }) {
    this.feed = feed;
    /** A post with several files is private until all of them are uploaded. */
    this.hidden = null;
    this.text = h('textarea', { id: 'post-text', rows: 2, dir: 'auto', placeholder: t('compose'), 'aria-label': t('compose'), 'aria-describedby': 'post-counter' });
    this.text.value = read(DRAFT_KEY) ?? '';
    this.counter = h('span', { class: 'hint', id: 'post-counter', 'aria-live': 'polite' });
    this.problem = h('p', { class: 'problem', role: 'alert', id: 'post-problem' });
    this.picker = h('input', { type: 'file', id: 'post-files', accept: 'image/*,video/*', multiple: true, class: 'hidden-label', tabindex: -1, 'aria-label': t('addFiles') });
    this.attach = h('button', { type: 'button', class: 'plain', id: 'post-attach', title: t('addFiles'), onclick: () => this.picker.click() }, icon('picture'), t('photosVideo'));
    this.discardButton = h('button', { type: 'button', class: 'plain', id: 'post-discard', hidden: true, onclick: () => this.discard() }, t('discardDraft'));
    this.button = h('button', { type: 'submit', class: 'primary', id: 'publish' }, t('publish'));
    this.audience = h('select', { id: 'post-audience', class: 'audience', 'aria-label': t('visibility'), title: t('visibility') },
      h('option', { value: 'true' }, t('public')), h('option', { value: 'false' }, t('private')));
    this.uploads = new UploadList({ onChange: () => this.changed() });
    this.element = h('form', { class: 'post-composer card', id: 'post-composer', 'aria-label': t('compose') },
      h('div', { class: 'post-composer-text' }, avatar(session().user), this.text),
      this.uploads.element, this.problem,
      h('div', { class: 'post-composer-row' }, this.attach, this.picker, this.audience, this.counter, this.discardButton, this.button));
    this.listen();
    this.changed();
  }

  listen() {
    this.listeners = new AbortController();
    // If the page is left with unsent files, nobody can finish the post.
    addEventListener('pagehide', (event) => event.persisted || this.dropHidden(), { signal: this.listeners.signal });
    this.element.addEventListener('submit', (event) => {
      event.preventDefault();
      this.publish();
    });
    this.text.addEventListener('input', () => {
      write(DRAFT_KEY, this.text.value);
      this.changed();
    });
    this.text.addEventListener('keydown', (event) => {
      if (!isComposing(event) && event.key === 'Enter' && (event.ctrlKey || event.metaKey)) this.publish();
    });
    this.text.addEventListener('paste', (event) => {
      if (event.clipboardData.files.length === 0) return;
      event.preventDefault();
      this.uploads.add(event.clipboardData.files);
    });
    this.element.addEventListener('dragover', (event) => event.preventDefault());
    this.element.addEventListener('drop', (event) => {
      event.preventDefault();
      if (!this.busy) this.uploads.add(event.dataTransfer.files);
    });
    this.picker.addEventListener('change', () => {
      this.uploads.add(this.picker.files);
      this.picker.value = '';
    });
  }

  close() {
    this.listeners.abort();
    this.uploads.clear();
    this.dropHidden();
  }

  changed() {
    if (!this.uploads) return;
    const length = [...this.text.value.trim()].length;
    const over = length - LENGTH_MAX;
    this.counter.textContent = length < COUNTER_FROM ? '' : over > 0 ? t('tooLong', { n: over }) : t('left', { n: -over });
    this.counter.classList.toggle('problem', over > 0);
    this.button.disabled = this.busy || over > 0 || (length === 0 && this.uploads.items.length === 0);
    this.button.textContent = t(this.busy ? 'publishing' : 'publish');
    this.attach.disabled = this.busy;
    this.audience.disabled = this.busy;
    this.text.readOnly = this.busy === true;
    this.discardButton.hidden = !this.hidden || this.busy;
    if (!this.busy && !this.uploads.unfit && !this.uploads.failed) this.problem.textContent = '';
  }

  async publish() {
    if (this.button.disabled) return;
    if (this.uploads.unfit) {
      this.problem.textContent = t('filesWaiting');
      this.uploads.element.querySelector('[data-status=unfit] button')?.focus();
      return;
    }
    this.setBusy(true);
    let post = null;
    let problem = '';
    try {
      post = await this.send(this.text.value.trim());
      if (!post) problem = t('filesWaiting');
    } catch (error) {
      problem = t('publishFailed', { text: errorText(error) });
    }
    this.setBusy(false);
    if (post) this.published(post);
    else this.problem.textContent = problem;
  }

  setBusy(busy) {
    this.busy = busy;
    this.changed();
  }

  /** The published post; null if the user must look at a file first. */
  async send(content) {
    const { pending } = this.uploads;
    const isPublic = this.audience.value;
    if (!this.hidden && pending.length === 0) return feedApi.publish({ content, is_public: isPublic }, () => {}, new AbortController().signal);
    if (!this.hidden && pending.length === 1 && this.uploads.items.length === 1) {
      return this.uploads.run(pending[0], (file, ...rest) => feedApi.publish({ content, is_public: isPublic, ...file }, ...rest));
    }
    // One after the other, because each adds its picture to the existing ones, in the chosen order.
    for (const item of pending) {
      if (!this.uploads.items.includes(item)) continue;
      const sent = await this.uploads.run(item, (file, ...rest) =>
        this.hidden ? feedApi.addFile(this.hidden, file, ...rest) : feedApi.publish({ content, is_public: 'false', ...file }, ...rest));
      this.hidden ??= sent?.id ?? null;
    }
    if (this.uploads.failed || !this.hidden) return null;
    return this.feed().edit(this.hidden, { content, is_public: isPublic === 'true' });
  }

  published(post) {
    this.hidden = null;
    this.reset();
    this.feed().put(post);
    if (!post.is_public) toast(t('publishedPrivately'));
  }

  reset() {
    this.text.value = '';
    write(DRAFT_KEY, null);
    this.uploads.clear();
    this.changed();
  }

  async discard() {
    try {
      await feedApi.deletePost(this.hidden);
      this.hidden = null;
      this.reset();
    } catch (error) {
      toast(errorText(error));
    }
  }

  dropHidden() {
    if (this.hidden) feedApi.deletePostOnLeaving(this.hidden);
    this.hidden = null;
  }
}
