// The composer: text, replies, edits and files. Typed text stays until it is sent.

import { h, isComposing, toast } from './dom.js';
import { draft, saveDraft } from './drafts.js';
import { emojiButton } from './emoji_picker.js';
import { filesOf, problemOf, shownName, sizeText } from './files.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { canRecord, VoiceRecorder } from './voice.js';

const LENGTH_MAX = 2000;
const COUNTER_FROM = 1800;

export class Composer {
  constructor(chat) {
    this.chat = chat;
    this.mode = null;
    this.files = [];
    this.text = h('textarea', { id: 'composer-text', rows: 1, dir: 'auto', placeholder: t('write'), 'aria-label': t('write'), 'aria-describedby': 'counter', enterkeyhint: 'send' });
    this.text.value = draft(chat.room.id);
    this.counter = h('span', { class: 'counter', id: 'counter', 'aria-live': 'polite' });
    this.sendButton = h('button', { type: 'submit', class: 'icon-button send', id: 'send', 'aria-label': t('send'), title: t('send') }, icon('send'));
    this.picker = h('input', { type: 'file', id: 'file', multiple: true, hidden: true });
    const attach = h('button', { type: 'button', class: 'icon-button', id: 'attach', 'aria-label': t('attach'), title: t('attach'), onclick: () => this.picker.click() }, icon('clip'));
    this.context = h('div', { class: 'context', hidden: true });
    this.voice = new VoiceRecorder({ onRecorded: (file) => this.chat.uploads.add(file, ''), onChange: (isRecording) => this.recording(isRecording) });
    this.row = h('div', { class: 'composer-row' }, attach, this.picker, emojiButton(this.text), h('div', { class: 'text-box' }, this.text, this.counter), this.voice.button, this.sendButton);
    this.element = h('form', { class: 'composer' }, this.context, this.row, this.voice.bar);
    this.listen();
    queueMicrotask(() => this.resized());
  }

  listen() {
    this.element.addEventListener('submit', (event) => {
      event.preventDefault();
      this.submit();
    });
    this.text.addEventListener('input', () => {
      this.resized();
      if (this.mode?.kind !== 'edit') saveDraft(this.chat.room.id, this.text.value);
      if (this.mode?.kind !== 'edit' && this.text.value.trim() !== '') this.chat.keyPressed();
    });
    this.text.addEventListener('keydown', (event) => this.key(event));
    this.text.addEventListener('paste', (event) => {
      if (event.clipboardData.files.length > 0) {
        event.preventDefault();
        this.attachAll(event.clipboardData);
      }
    });
    this.picker.addEventListener('change', () => {
      this.attach([...this.picker.files]);
      this.picker.value = '';
    });
  }

  key(event) {
    // While a word is being composed (accents, other scripts), Enter and Escape belong to the input method.
    if (isComposing(event)) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      this.submit();
    } else if (event.key === 'Escape' && (this.mode || this.files.length > 0)) {
      event.preventDefault();
      this.cancel();
    } else if (event.key === 'ArrowUp' && this.text.value === '' && !this.mode) {
      const last = this.chat.lastOwn();
      if (last) {
        event.preventDefault();
        this.edit(last);
      }
    }
  }

  close() {
    this.voice.close();
  }

  /** While somebody speaks there is nothing to type. */
  recording(isRecording) {
    this.row.hidden = isRecording;
    if (!isRecording) this.focus();
  }

  /** For a room from which the user was removed; the draft stays readable. */
  setClosed(closed) {
    this.closed = closed;
    this.text.disabled = closed;
    this.resized();
  }

  focus() {
    this.text.focus({ preventScroll: true });
  }

  reply(message) {
    if (this.mode?.kind === 'edit') this.cancel();
    this.mode = { kind: 'reply', message };
    this.drawContext();
    this.focus();
  }

  edit(message) {
    this.mode = { kind: 'edit', message, before: this.mode?.before ?? this.text.value };
    this.text.value = message.content;
    this.drawContext();
    this.resized();
    this.focus();
  }

  /** The answered or edited message is gone; a typed text stays. */
  messageDeleted(id) {
    if (this.mode?.message.id !== id || this.busy) return;
    toast(t('deletedText'));
    this.cancel();
  }

  /** Ends a reply, an edit or a file; a text typed before an edit comes back. */
  cancel() {
    if (this.mode?.kind === 'edit') this.text.value = this.mode.before;
    if (!this.mode) this.drop(this.files);
    this.mode = null;
    this.drawContext();
    this.resized();
    this.focus();
  }

  /** What was dropped or pasted. */
  attachAll(transfer) {
    const { files, hasFolder } = filesOf(transfer);
    if (hasFolder) toast(t('noFolders'));
    this.attach(files);
  }

  /** Each file becomes a message of its own. */
  attach(files) {
    for (const file of files) {
      const problem = problemOf(file);
      if (problem) {
        toast(files.length > 1 ? `${shownName(file.name)}: ${problem}` : problem);
        continue;
      }
      if (this.mode?.kind === 'edit') this.cancel();
      this.files.push({ file, preview: file.type.startsWith('image/') ? URL.createObjectURL(file) : null });
    }
    this.drawContext();
    this.resized();
    this.focus();
  }

  drop(files) {
    for (const { preview } of files) if (preview) URL.revokeObjectURL(preview);
    this.files = this.files.filter((one) => !files.includes(one));
  }

  drawContext() {
    const lines = [];
    if (this.mode) {
      const { kind, message } = this.mode;
      const title = kind === 'edit' ? t('editing') : t('replyingTo', { name: message.sender.display_name });
      lines.push(this.contextLine(icon(kind), title, message.content, t('cancel')));
    }
    for (const one of this.files) {
      const picture = one.preview ? h('img', { src: one.preview, alt: '' }) : icon(one.file.type.startsWith('video/') || one.file.type.startsWith('audio/') ? 'clip' : 'document');
      lines.push(this.contextLine(picture, h('bdi', null, shownName(one.file.name)), sizeText(one.file.size), t('removeFile'), () => {
        this.drop([one]);
        this.drawContext();
        this.resized();
      }));
    }
    this.context.replaceChildren(...lines);
    this.context.hidden = lines.length === 0;
    this.element.classList.toggle('editing', this.mode?.kind === 'edit');
  }

  contextLine(picture, title, text, label, onclick = () => this.cancel()) {
    return h('div', { class: 'context-line', data: { testid: 'context' } }, picture,
      h('span', { class: 'context-text' }, h('strong', null, title), h('span', { dir: 'auto' }, text)),
      h('button', { type: 'button', class: 'icon-button', 'aria-label': label, onclick }, icon('close')));
  }

  /** Grows with the text, and shows how many characters are left. */
  resized() {
    this.text.style.height = 'auto';
    this.text.style.height = `${Math.min(this.text.scrollHeight, innerHeight * 0.3)}px`;
    const length = [...this.text.value.trim()].length;
    const over = length - LENGTH_MAX;
    this.counter.textContent = length < COUNTER_FROM ? '' : over > 0 ? t('tooLong', { n: over }) : t('left', { n: -over });
    this.counter.classList.toggle('problem', over > 0);
    // One of the two: there is something to send, or something to say.
    this.voice.button.hidden = !canRecord() || this.closed || length > 0 || this.files.length > 0 || this.mode?.kind === 'edit';
    this.sendButton.disabled = this.closed || this.busy || over > 0 || (length === 0 && this.files.length === 0);
  }

  async submit() {
    const content = this.text.value.trim();
    if (this.sendButton.disabled) return;
    if (this.mode?.kind === 'edit') return this.saveEdit(content);
    if (this.files.length > 0) {
      // The text stands under the first one.
      this.files.forEach(({ file }, index) => this.chat.uploads.add(file, index === 0 ? content : ''));
      this.drop(this.files);
    } else {
      this.chat.send(content, this.mode?.message ?? null);
    }
    this.mode = null;
    this.text.value = '';
    saveDraft(this.chat.room.id, '');
    this.drawContext();
    this.resized();
    this.focus();
  }

  async saveEdit(content) {
    this.busy = true;
    this.text.readOnly = true;
    this.counter.textContent = t('saving');
    const problem = await this.chat.edit(this.mode.message, content);
    this.busy = false;
    this.text.readOnly = false;
    if (problem) toast(problem);
    else this.cancel();
    this.resized();
  }
}
