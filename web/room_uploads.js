// Uploads into rooms; they continue while another room is shown.

import * as api from './api.js';
import { toast } from './dom.js';
import { errorText } from './i18n.js';
import { uniqueId } from './storage.js';

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
  for (const uploads of rooms.values()) for (const upload of [...uploads.list]) uploads.discard(upload);
  rooms.clear();
}

/** Each change fires the event `pregon:uploads`. */
class RoomUploads {
  constructor(roomId) {
    this.roomId = roomId;
    /** `{ key, file, kind, caption, status, share, error, preview }`; the status is `sending` or `failed`. */
    this.list = [];
    /** Whether somebody looks at the room. */
    this.isShown = false;
  }

  add(file, caption) {
    const kind = file.type.split('/')[0];
    const preview = kind === 'image' ? URL.createObjectURL(file) : null;
    const upload = { key: uniqueId(), file, kind, caption, preview, at: Date.now() };
    this.list.push(upload);
    this.start(upload);
  }

  /** Also used again after a failure: the key prevents a file that did arrive from being stored twice. */
  async start(upload) {
    Object.assign(upload, { status: 'sending', share: 0, error: '', abort: new AbortController() });
    changed();
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
      if (!this.isShown) toast(`${file.name}: ${upload.error}`);
      changed();
    }
  }

  discard(upload) {
    this.list = this.list.filter((one) => one !== upload);
    upload.abort.abort();
    if (upload.preview) URL.revokeObjectURL(upload.preview);
    changed();
  }
}

function changed() {
  dispatchEvent(new Event('pregon:uploads'));
}
