// Files in messages: which can be sent and as what, and how a document is shown.

import { h } from './dom.js';
import { language, t } from './i18n.js';
import { icon } from './icons.js';
import { tooLargeText } from './upload.js';

/** What the server takes as documents; it also looks at the content. */
const DOCUMENTS = new Set(('pdf txt md csv tsv log json ics vcf srt rtf doc xls ppt docx xlsx pptx odt ods odp odg epub pages key '
  + 'zip 7z rar gz tgz bz2 xz tar').split(' '));
const KILOBYTE = 1024;

/** As what a file is sent: `image`, `video`, `audio`, `file` (a document), or null if it cannot be sent. */
export function kindOf(file) {
  const [kind] = file.type.split('/');
  if (['image', 'video', 'audio'].includes(kind)) return file.type === 'image/svg+xml' ? null : kind;
  const extension = extensionOf(file.name);
  return extension === '' || DOCUMENTS.has(extension) ? 'file' : null;
}

/** Why a file cannot be sent, and what to do; empty if it can. The server would only say so after the whole transfer. */
export function problemOf(file) {
  const kind = kindOf(file);
  if (!kind) return t('wrongFile');
  if (file.size === 0 && kind === 'file') return t('fileEmpty');
  return tooLargeText(file, 'notTaken');
}

/** What was dropped or pasted, without folders, which no browser sends. */
export function filesOf(transfer) {
  const isFolder = (item) => item.webkitGetAsEntry?.()?.isDirectory === true;
  const items = [...transfer.items].filter((item) => item.kind === 'file');
  if (items.length === 0) return { files: [...transfer.files], hasFolder: false };
  return { files: items.filter((item) => !isFolder(item)).map((item) => item.getAsFile()).filter(Boolean), hasFolder: items.some(isFolder) };
}

/** In lower case; what has no letter is none: `minutes 12.05.2026`. */
function extensionOf(name) {
  const extension = name.includes('.') ? name.split('.').at(-1).trim() : '';
  return /\p{L}/u.test(extension) ? extension.toLowerCase() : '';
}

/** A name without characters that nobody sees and that turn others around. The joiners of Persian and of emoji stay. */
export function shownName(name) {
  return (name ?? '').replace(/(?![\u200c\u200d])[\p{Cc}\p{Cf}\u2028\u2029]/gu, '').trim();
}

/** `840 bytes`, `12 kB`, `1.5 MB`, as the reader's language writes it. */
export function sizeText(bytes) {
  const [unit, value, digits] = bytes < KILOBYTE ? ['byte', bytes, 0] : bytes < 1000 * KILOBYTE ? ['kilobyte', bytes / KILOBYTE, 0] : ['megabyte', bytes / KILOBYTE / KILOBYTE, 1];
  const unitDisplay = unit === 'byte' ? 'long' : 'short';
  return new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay, maximumFractionDigits: digits }).format(value);
}

/** A document's symbol, name and size. `name` may be missing. */
export function documentParts(name, bytes) {
  const shown = shownName(name) || t('file');
  const about = [extensionOf(shown).toUpperCase(), bytes ? sizeText(bytes) : ''].filter(Boolean).join(' · ');
  return [icon('document'), h('span', { class: 'file-about' },
    h('bdi', { class: 'file-name', title: shown, data: { testid: 'document-name' } }, shown),
    about ? h('span', { class: 'file-size', data: { testid: 'document-size' } }, about) : null)];
}

/** The link by which a message's document is saved. One that is stored elsewhere opens in a tab of its own. */
export function documentLink(message, address) {
  const name = shownName(message.file_name);
  const isHere = new URL(address, location.href).origin === location.origin;
  const label = [t('download', { name: name || t('file') }), message.file_size ? sizeText(message.file_size) : ''].filter(Boolean).join(', ');
  const ways = isHere ? { download: name } : { target: '_blank' };
  return h('a', { class: 'file', href: address, rel: 'noopener noreferrer', 'aria-label': label, title: label, data: { testid: 'document' }, ...ways },
    documentParts(message.file_name, message.file_size), icon('download'));
}
