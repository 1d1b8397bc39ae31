// Addresses of people's pictures and messages' files, and initials for people without a picture.

import { h } from './dom.js';
import { icon } from './icons.js';

const LOOPBACK = ['localhost', '127.0.0.1', '[::1]'];

/**
 * The address to load for a URL from the server, or null if a page should not load it. A server on this machine may
 * call itself `localhost` while the page was opened as `127.0.0.1`; both are the page's own origin.
 */
export function mediaAddress(url) {
  if (!url) return null;
  const address = URL.parse ? URL.parse(url, location.href) : tryUrl(url);
  if (!address || !['http:', 'https:'].includes(address.protocol)) return null;
  const sameMachine = LOOPBACK.includes(address.hostname) && LOOPBACK.includes(location.hostname);
  if (sameMachine && address.port === location.port) return address.pathname + address.search;
  return address.href;
}

function tryUrl(url) {
  try {
    return new URL(url, location.href);
  } catch {
    return null;
  }
}

/** A round picture. The API's generated default avatar is drawn here instead of being loaded from another site. */
export function avatar(user, size = '') {
  const face = disc(user.id, size, initials(user));
  const address = mediaAddress(user.avatar_url ?? user.avatar);
  if (address && !address.includes('//ui-avatars.com/')) {
    const image = h('img', { src: address, alt: '', loading: 'lazy' });
    image.addEventListener('error', () => image.remove());
    face.append(image);
  }
  return face;
}

export function roomAvatar(room, size = '') {
  if (room.other_user) return avatar(room.other_user, size);
  const face = disc(room.id, size, icon('group'));
  const address = mediaAddress(room.avatar);
  if (address) {
    const image = h('img', { src: address, alt: '', loading: 'lazy' });
    image.addEventListener('error', () => image.remove());
    face.append(image);
  }
  return face;
}

/** The same id has the same colour in every tab. */
function disc(id, size, content) {
  const face = h('span', { class: `avatar ${size}`, 'aria-hidden': 'true' }, content);
  let sum = 7;
  for (const letter of String(id)) sum = (sum * 31 + letter.charCodeAt(0)) >>> 0;
  face.style.setProperty('--hue', sum % 360);
  return face;
}

function initials(user) {
  const name = [user?.display_name, user?.username].find((text) => /[\p{L}\p{N}\p{P}\p{S}]/u.test(text ?? '')) ?? '?';
  // Characters that show nothing (spaces, control and format characters) begin no word.
  const words = String(name).split(/[\p{Z}\p{C}]+/u).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : [words[0]];
  return letters.map((word) => [...word][0].toLocaleUpperCase()).join('');
}
