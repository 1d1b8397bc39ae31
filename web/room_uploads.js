// Uploads into rooms; they continue while another room is shown.

import * as api from './api.js';
import { toast } from './dom.js';
import { kindOf, shownName } from './files.js';
import { errorText } from './i18n.js';
import { uniqueId } from './storage.js';

/** How many files of a room are sent at the same time; the server has places for a few of each person. */
const AT_ONCE = 3;

const rooms = new Map();

/** The uploads of a room; every caller gets the same object. */
export function uploadsOf(roomId) {
  if (!rooms.has(roomId)) rooms.set(roomId, new RoomUploads(roomId));
  return rooms.get(roomId);
}

/** Whether leaving the page would lose a file that has not arrived yet. */
export function hasUploads() {
  return [...rooms.values()].some((uploads) => uploads.list.length > 0);
}

/** For a user who signs out: ends running uploads. */
export function stopUploads() {
  for (const uploads of rooms.values()) uploads.stop();
  rooms.clear();
}

/** Each change fires the event `pregon:uploads`. */
class RoomUploads {
  constructor(roomId) {
    this.roomId = roomId;
    /** `{ key, file, kind, caption, status, share, error, preview }`; the status is `waiting`, `sending` or `failed`. */
    this.list = [];
    /** Whether somebody looks at the room. */
    this.isShown = false;
  }

  add(file, caption) {
    const kind = kindOf(file) ?? 'file';
    const preview = kind === 'image' ? URL.createObjectURL(file) : null;
    const upload = { key: uniqueId(), file, kind, caption, preview, at: Date.now() };
    this.list.push(upload);
    this.start(upload);
  }

  /** Also used again after a failure: the key prevents a file that did arrive from being stored twice. */
  start(upload) {
    Object.assign(upload, { status: 'waiting', share: 0, error: '', abort: new AbortController() });
    this.sendNext();
    changed();
  }

  /** Sends as many as may be sent now, in the order in which they were chosen. */
  sendNext() {
    const count = (status) => this.list.filter((one) => one.status === status).length;
    while (count('sending') < AT_ONCE && count('waiting') > 0) this.send(this.list.find((one) => one.status === 'waiting'));
  }

  async send(upload) {
    upload.status = 'sending';
    const { file, kind, caption, key } = upload;
    const onProgress = (share) => {
      upload.share = share;
      upload.onShare?.(share);
    };
    try {
      const fields = { [kind]: file, message_type: kind, content: caption, client_id: key };
      await api.upload(this.roomId, fields, onProgress, upload.abort.signal);
      this.discard(upload);
    } catch (error) {
      if (!this.list.includes(upload)) return;
      Object.assign(upload, { status: 'failed', error: errorText(error) });
      if (!this.isShown) toast(`${shownName(file.name)}: ${upload.error}`);
      this.sendNext();
      changed();
    }
  }

  stop() {
    const all = this.list;
    this.list = [];
    for (const upload of all) this.discard(upload);
  }

  discard(upload) {
    this.list = this.list.filter((one) => one !== upload);
    upload.abort.abort();
    if (upload.preview) URL.revokeObjectURL(upload.preview);
    this.sendNext();
    changed();
  }
}

function changed() {
  dispatchEvent(new Event('pregon:uploads'));
}
