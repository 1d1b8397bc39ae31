// One bubble: a stored message, an unconfirmed text, or a file being uploaded.

import { h } from './dom.js';
import { documentLink, documentParts } from './files.js';
import { t } from './i18n.js';
import { icon } from './icons.js';
import { avatar, mediaAddress } from './media.js';
import { countReactions, sentAt } from './message_data.js';
import { openPhoto } from './message_menu.js';
import { REACTIONS } from './reactions.js';
import { fullLabel, timeLabel } from './time.js';

const ONLY_EMOJI = /^(?:\p{Extended_Pictographic}|\p{Emoji_Component}|\s){1,12}$/u;

/** `first`: starts a run of the same sender; `group`: names are shown; `on`: the actions of the view. */
export function messageView(message, { me, first, group, on }) {
  const own = message.sender.id === me.id;
  const item = h('li', {
    class: `message ${own ? 'own' : 'other'} ${first ? 'first' : ''}`,
    data: { testid: 'message', messageId: message.id, own: String(own) },
  });
  if (!own && group) item.append(first ? avatar(message.sender, 'small') : h('span', { class: 'avatar-space' }));
  const bubble = h('div', { class: `bubble ${isBig(message) ? 'big' : ''}`, dir: 'auto' });
  item.append(h('div', { class: 'column' },
    !own && group && first ? h('span', { class: 'sender', dir: 'auto' }, message.sender.display_name) : h('span', { class: 'hidden-label' }, own ? t('you') : message.sender.display_name),
    h('div', { class: 'line' }, bubble, actions(message, on)),
    reactionRow(message, me, on)));
  if (message.reply_to) bubble.append(quote(message.reply_to, on));
  bubble.append(...attachment(message));
  if (message.content) bubble.append(h('span', { class: 'text', data: { testid: 'text' } }, linked(message.content)));
  bubble.append(foot(message, own));
  return item;
}

function isBig(message) {
  return !message.reply_to && ONLY_EMOJI.test(message.content) && !/^[\d\s#*]+$/.test(message.content);
}

function actions(message, on) {
  const button = (name, label, action, extra = {}) =>
    h('button', { type: 'button', class: `icon-button ${name}-button`, 'aria-label': label, title: label, onclick: (event) => action(event.currentTarget), ...extra }, icon(name));
  return h('div', { class: 'actions' },
    button('smile', t('actions'), (anchor) => on.menu(message, anchor), { 'aria-haspopup': 'menu', 'data-testid': 'message-actions' }),
    button('reply', t('reply'), () => on.reply(message), { 'data-testid': 'reply' }));
}

function foot(message, own) {
  return h('span', { class: 'foot' },
    message.is_edited ? h('span', { data: { testid: 'edited' } }, `${t('edited')} · `) : null,
    h('time', { datetime: message.created_at, title: fullLabel(sentAt(message)) }, timeLabel(sentAt(message))),
    own ? tick(message) : null);
}

function tick(message) {
  const read = message.read_by_count > 0;
  const label = read ? (message.read_by_count > 1 ? t('readBy', { n: message.read_by_count }) : t('readTick')) : t('sentTick');
  return h('span', { class: `tick ${read ? 'read' : ''}`, role: 'img', 'aria-label': label, title: label, data: { testid: 'tick', read: String(read) } },
    icon(read ? 'checks' : 'check'));
}

function quote(reply, on) {
  const kinds = { image: 'photo', video: 'video', audio: 'audio', file: 'file' };
  const content = reply.is_deleted ? t('deletedText') : reply.content || t(kinds[reply.message_type] ?? 'file');
  const { username, display_name: shown } = reply.sender;
  const name = shown ?? on?.nameOf(username) ?? username;
  return h('button', { type: 'button', class: `quote ${reply.is_deleted ? 'gone' : ''}`, disabled: reply.is_deleted === true, data: { testid: 'quote' }, onclick: () => on?.jump?.(reply.id) },
    h('span', { class: 'quote-name', dir: 'auto' }, name), h('span', { class: 'quote-text', dir: 'auto' }, content));
}

function attachment(message) {
  const image = mediaAddress(message.image);
  const video = mediaAddress(message.video);
  const audio = mediaAddress(message.audio);
  const file = mediaAddress(message.file_url);
  const parts = [];
  if (image) {
    const alt = t('image', { name: message.sender.display_name });
    parts.push(h('button', { type: 'button', class: 'photo', 'aria-label': t('openImage'), data: { testid: 'photo' }, onclick: () => openPhoto(image, alt) },
      h('img', { src: image, alt })));
  }
  if (video) parts.push(h('video', { src: video, controls: true, preload: 'metadata', playsinline: true }));
  if (audio) parts.push(h('audio', { src: audio, controls: true, preload: 'metadata' }));
  if (file) parts.push(documentLink(message, file));
  return parts;
}

/** Addresses become links; everything else stays text. */
export function linked(text) {
  return text.split(/(https?:\/\/[^\s<>"]+[^\s<>".,;:!?)\]}'])/).map((part, index) =>
    index % 2 ? h('a', { href: part, target: '_blank', rel: 'noopener noreferrer' }, part) : part);
}

function reactionRow(message, me, on) {
  const counted = countReactions(message, me.id);
  if (counted.length === 0) return null;
  return h('div', { class: 'reactions' }, counted.map(({ type, count, mine, names }) => {
    const unnamed = count - names.length;
    const who = [...names, ...(unnamed > 0 ? [`+${unnamed}`] : [])].join(', ');
    return h('button', {
      type: 'button', class: 'reaction', 'aria-pressed': String(mine), title: who,
      'aria-label': `${REACTIONS[type] ? t(type) : type}: ${who}`,
      data: { testid: 'reaction', type, count: String(count) }, onclick: () => on.react(message, type),
    }, h('span', { class: 'emoji' }, REACTIONS[type] ?? '❔'), String(count));
  }));
}

/** A text between Enter and its echo, or one that the user must decide about. */
export function pendingView(entry, { first, onRetry, onDiscard }) {
  const failed = entry.status === 'failed';
  const label = failed ? entry.error || t('notSent') : entry.status === 'waiting' ? t('waitingToSend') : t('sending');
  return h('li', { class: `message own ${first ? 'first' : ''} pending ${failed ? 'failed' : ''}`, data: { testid: 'pending', status: entry.status } },
    h('div', { class: 'column' }, h('span', { class: 'hidden-label' }, t('you')),
      h('div', { class: 'line' }, h('div', { class: `bubble ${isBig({ content: entry.content, reply_to: entry.replyTo }) ? 'big' : ''}`, dir: 'auto' },
        entry.replyTo ? quote(entry.replyTo) : null,
        h('span', { class: 'text' }, linked(entry.content)),
        h('span', { class: 'foot' }, h('time', null, timeLabel(entry.at)), h('span', { class: 'tick', role: 'img', 'aria-label': label, title: label }, icon(failed ? 'warning' : 'clock'))))),
      failed ? decision(label, onRetry, onDiscard) : null));
}

export function uploadView(upload, { first, onRetry, onDiscard }) {
  const failed = upload.status === 'failed';
  const bar = h('progress', { max: 1, value: upload.share, 'aria-label': t('fileProgress', { name: upload.file.name }) });
  upload.onShare = (share) => {
    bar.value = share;
  };
  return h('li', { class: `message own ${first ? 'first' : ''} pending ${failed ? 'failed' : ''}`, data: { testid: 'upload', status: upload.status } },
    h('div', { class: 'column' },
      h('div', { class: 'line' }, h('div', { class: 'bubble' },
        upload.preview ? h('span', { class: 'photo' }, h('img', { src: upload.preview, alt: '' })) : null,
        upload.preview ? null : h('span', { class: 'file' }, documentParts(upload.file.name, upload.file.size)),
        upload.caption ? h('span', { class: 'text', dir: 'auto' }, upload.caption) : null,
        failed ? null : bar)),
      failed ? decision(upload.error, onRetry, onDiscard) : decision('', null, onDiscard)));
}

function decision(label, onRetry, onDiscard) {
  return h('div', { class: 'decision', role: 'group' },
    label ? h('span', { class: 'problem' }, label) : null,
    onRetry ? h('button', { type: 'button', class: 'plain', onclick: onRetry, data: { testid: 'retry' } }, icon('retry'), t('retry')) : null,
    h('button', { type: 'button', class: 'plain', onclick: onDiscard, data: { testid: 'discard' } }, onRetry ? t('discard') : t('cancel')));
}
