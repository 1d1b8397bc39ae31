// Texts that were typed but not sent yet, by room; they survive a reload of the tab.

import { read, write } from './storage.js';

const PREFIX = 'pregon.draft.';

export function draft(roomId) {
  return read(PREFIX + roomId) ?? '';
}

export function saveDraft(roomId, text) {
  write(PREFIX + roomId, text === '' ? null : text);
}
