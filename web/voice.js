// Records a voice message: a button that becomes a bar with the time, a stop that sends, and a way out.

import { h, toast } from './dom.js';
import { t } from './i18n.js';
import { icon } from './icons.js';

/** What the server takes; the first one that the browser records. */
const TYPES = ['audio/webm;codecs=opus', 'audio/mp4', 'audio/ogg;codecs=opus'];
/** Longer recordings end by themselves and are sent: 25 MB are far from it. */
const LONGEST_MS = 15 * 60_000;

export const canRecord = () => Boolean(globalThis.MediaRecorder && navigator.mediaDevices?.getUserMedia);

export class VoiceRecorder {
  /** `onRecorded(file)` gets what was recorded; `onChange(isRecording)` is told when it begins and ends. */
  constructor({ onRecorded, onChange }) {
    this.onRecorded = onRecorded;
    this.onChange = onChange;
    this.button = h('button', { type: 'button', class: 'icon-button', id: 'record', 'aria-label': t('record'), title: t('record'), hidden: !canRecord(), onclick: () => this.start() }, icon('mic'));
    this.time = h('span', { class: 'voice-time', role: 'timer', data: { testid: 'voice-time' } }, '0:00');
    this.bar = h('div', { class: 'voice', hidden: true }, h('span', { class: 'voice-dot', 'aria-hidden': 'true' }), this.time,
      h('button', { type: 'button', class: 'plain', id: 'discard-voice', onclick: () => this.stop(false) }, t('cancel')),
      h('button', { type: 'button', class: 'icon-button send', id: 'send-voice', 'aria-label': t('sendVoice'), title: t('sendVoice'), onclick: () => this.stop(true) }, icon('send')));
  }

  async start() {
    if (this.recorder || this.isAsking) return;
    this.isAsking = true;
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: true });
    } catch {
      return toast(t('noMicrophone'));
    } finally {
      this.isAsking = false;
    }
    // Somebody left the room while the browser asked.
    if (this.isClosed) return release(stream);
    const type = TYPES.find((one) => MediaRecorder.isTypeSupported(one));
    const pieces = [];
    this.recorder = new MediaRecorder(stream, type ? { mimeType: type } : {});
    this.recorder.ondataavailable = ({ data }) => pieces.push(data);
    this.recorder.onstop = () => {
      release(stream);
      const kind = (this.recorder.mimeType || 'audio/webm').split(';')[0];
      this.recorder = null;
      clearInterval(this.ticker);
      this.show(false);
      if (this.isWanted) this.onRecorded(new File(pieces, `${t('voiceName')}.${kind.split('/')[1]}`, { type: kind }));
    };
    this.isWanted = false;
    this.recorder.start();
    this.began = Date.now();
    this.ticker = setInterval(() => this.tick(), 250);
    this.tick();
    this.show(true);
    this.bar.querySelector('#send-voice').focus();
  }

  tick() {
    const passed = Date.now() - this.began;
    const seconds = Math.floor(passed / 1000);
    this.time.textContent = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
    if (passed > LONGEST_MS) this.stop(true);
  }

  show(isRecording) {
    this.bar.hidden = !isRecording;
    this.onChange(isRecording);
  }

  /** `isWanted`: it is sent. */
  stop(isWanted) {
    if (this.recorder?.state !== 'recording') return;
    this.isWanted = isWanted;
    this.recorder.stop();
  }

  close() {
    this.isClosed = true;
    this.stop(false);
  }
}

function release(stream) {
  for (const track of stream.getTracks()) track.stop();
}
