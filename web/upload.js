// Files chosen for a post: each with a preview, its progress and, if something is wrong, what to do about it.

import { h, reconcile } from './dom.js';
import { errorText, t } from './i18n.js';
import { icon } from './icons.js';

const MEGABYTE = 1024 * 1024;
/** The same limit as on the server. */
export const UPLOAD_BYTES_MAX = 25 * MEGABYTE;
export const PHOTOS_MAX = 20;

let made = 0;

/** Statuses of a file: `ready`, `sending`, `done`, `failed` (can be tried again), `unfit` (must be removed). */
export class UploadList {
  /** `onChange()` is called when a file's status changes. */
  constructor({ onChange }) {
    this.onChange = onChange;
    this.items = [];
    this.element = h('ul', { class: 'uploads', 'aria-label': t('files') });
  }

  add(files) {
    for (const file of files) {
      const kind = file.type.split('/')[0];
      const preview = kind === 'image' ? URL.createObjectURL(file) : null;
      this.items.push({ key: `upload-${(made += 1)}`, file, kind, preview, status: 'ready', share: 0, error: '' });
    }
    this.changed();
  }

  remove(item) {
    if (item.preview) URL.revokeObjectURL(item.preview);
    item.stop?.abort();
    this.items = this.items.filter((one) => one !== item);
    this.changed();
  }

  clear() {
    for (const item of [...this.items]) this.remove(item);
  }

  /** The files that still have to be sent. */
  get pending() {
    return this.items.filter((item) => item.status === 'ready' || item.status === 'failed');
  }

  get unfit() {
    return this.items.some((item) => item.status === 'unfit');
  }

  get failed() {
    return this.items.some((item) => item.status === 'failed');
  }

  /** Sends one file with `send(fields, onProgress, signal)`; resolves to the answer, or null if it failed. */
  async run(item, send) {
    item.status = 'sending';
    item.share = 0;
    item.stop = new AbortController();
    this.changed();
    try {
      const answer = await send({ [item.kind]: item.file }, (share) => this.progressed(item, share), item.stop.signal);
      item.status = 'done';
      return answer;
    } catch (error) {
      item.status = 'failed';
      item.error = error.status === 0 ? t('fileNoAnswer') : t('fileFailed', { text: errorText(error) });
      return null;
    } finally {
      this.changed();
    }
  }

  progressed(item, share) {
    item.share = share;
    const row = this.element.querySelector(`[data-key="${item.key}"]`);
    if (row) row.querySelector('progress').value = share;
  }

  changed() {
    const taken = { image: 0, video: 0 };
    for (const item of this.items) {
      if (item.status !== 'ready' && item.status !== 'unfit') {
        taken[item.kind] += 1;
        continue;
      }
      item.error = problemOf(item, taken);
      item.status = item.error ? 'unfit' : 'ready';
      if (!item.error) taken[item.kind] += 1;
    }
    reconcile(this.element, this.items.map((item) => ({ key: item.key, signature: item.status + item.error, render: () => this.row(item) })));
    this.onChange();
  }

  row(item) {
    const { file, status, error } = item;
    const wrong = status === 'unfit' || status === 'failed';
    const picture = item.preview ? h('img', { src: item.preview, alt: '', onerror: (event) => event.target.replaceWith(icon('warning')) }) : icon(wrong ? 'warning' : 'clip');
    const sent = status === 'done' ? 1 : item.share;
    return h('li', { class: `upload ${wrong ? 'wrong' : ''}`, data: { testid: 'post-upload', key: item.key, status } }, picture,
      h('div', { class: 'upload-about' },
        h('span', { class: 'upload-name', dir: 'auto' }, file.name),
        wrong ? h('span', { class: 'problem', role: 'alert', data: { testid: 'upload-problem' } }, error)
          : h('span', { class: 'hint' }, status === 'done' ? t('fileDone') : `${megabytes(file.size)} MB`),
        wrong ? null : h('progress', { max: 1, value: sent, 'aria-label': t('fileProgress', { name: file.name }) })),
      status === 'done' ? icon('check') : h('button', { type: 'button', class: 'icon-button', 'aria-label': `${t('removeFile')}: ${file.name}`, title: t('removeFile'), data: { testid: 'remove-file' }, onclick: () => this.remove(item) }, icon('close')));
  }
}

/** Why a file cannot be sent with those before it; the server would only say so after the whole transfer. */
function problemOf({ file, kind }, taken) {
  if (kind !== 'image' && kind !== 'video') return t('fileWrongKind');
  const tooLarge = tooLargeText(file);
  if (tooLarge) return tooLarge;
  if (kind === 'video' && taken.video > 0) return t('oneVideo');
  if (kind === 'image' && taken.image >= PHOTOS_MAX) return t('tooManyPhotos', { n: PHOTOS_MAX });
  return '';
}

/** What to say about a file that the server would refuse after its transfer, in the text of this key; empty if it is accepted. */
export function tooLargeText(file, key = 'fileTooLarge') {
  if (file.size <= UPLOAD_BYTES_MAX) return '';
  return t(key, { size: megabytes(file.size, Math.ceil), max: UPLOAD_BYTES_MAX / MEGABYTE });
}

/** With one decimal; rounded up when it is compared with a limit. */
function megabytes(bytes, round = Math.round) {
  return Math.max(0.1, round((bytes / MEGABYTE) * 10) / 10);
}
