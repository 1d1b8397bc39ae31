// One post, as the feed and the post view show it.

import { ownReaction, POST_REACTIONS } from './feed.js';
import { share } from './feed_api.js';
import { h, openDialog, toast } from './dom.js';
import { errorText, t } from './i18n.js';
import { icon } from './icons.js';
import { avatar, mediaAddress } from './media.js';
import { openPhoto } from './message_menu.js';
import { linked } from './message_view.js';
import { personAddress } from './person_row.js';
import { session } from './session.js';
import { agoLabel, fullLabel } from './time.js';

const POST_LENGTH_MAX = 2000;

/** The drawn parts of a post; if they did not change, the post keeps its element. */
export function postSignature(post) {
  const { updated_at: updated, likes_count: likes, celebrations_count: celebrations, golazos_count: golazos } = post;
  const at = agoLabel(Date.parse(post.created_at));
  return JSON.stringify([updated, likes, celebrations, golazos, post.comments_count, post.shares_count, ownReaction(post), post.content, post.images, post.video, post.is_public, at]);
}

/** `react(type)`, `edit(fields)` and `remove()` are promises. `single`: the post stands alone. */
export function postCard(post, { react, edit, remove, single = false }) {
  const own = post.user.id === session().user.id;
  const at = Date.parse(post.created_at);
  const time = h('time', { datetime: post.created_at, title: fullLabel(at) }, agoLabel(at));
  const label = t('seePost', { name: post.user.display_name });
  return h('article', { class: 'post', 'aria-label': label, data: { testid: 'post', postId: post.id } },
    h('header', { class: 'post-head' }, avatar(post.user),
      h('div', { class: 'post-who' },
        h('a', { class: 'person-link', href: personAddress(post.user.username), dir: 'auto', data: { testid: 'author' } }, post.user.display_name),
        h('span', { class: 'post-meta' }, `@${post.user.username} · `, single ? time : h('a', { href: `#/post/${post.id}`, 'aria-label': `${agoLabel(at)}: ${label}, ${fullLabel(at)}` }, time),
          post.is_public ? null : h('span', { class: 'post-private' }, icon('lock'), t('privatePost')))),
      own ? visibilityButton(post, edit) : null,
      own ? h('button', { type: 'button', class: 'icon-button edit-post', 'aria-label': t('editPost'), title: t('editPost'), data: { testid: 'edit-post' }, onclick: () => askEdit(post, edit) }, icon('edit')) : null,
      own ? h('button', { type: 'button', class: 'icon-button', 'aria-label': t('deletePost'), title: t('deletePost'), data: { testid: 'delete-post' }, onclick: () => ask(t('deletePostAsk'), remove) }, icon('trash')) : null),
    post.content ? h('p', { class: 'post-text', dir: 'auto', data: { testid: 'post-text' } }, linked(post.content)) : null,
    media(post),
    h('footer', { class: 'post-foot' },
      h('div', { class: 'post-reactions', role: 'group', 'aria-label': t('react') },
        Object.entries(POST_REACTIONS).map(([type, { emoji, count }]) => reactionButton(post, type, emoji, post[count], react))),
      h('div', { class: 'post-links' }, linkButton(post), shareButton(post, own), single ? null : commentsLink(post))));
}

/** Who sees the own post; a click changes that. */
function visibilityButton(post, edit) {
  const label = t(post.is_public ? 'makePrivate' : 'makePublic');
  const press = async (event) => {
    event.currentTarget.disabled = true;
    try {
      await edit({ is_public: !post.is_public });
    } catch (error) {
      toast(errorText(error));
    }
  };
  return h('button', { type: 'button', class: 'icon-button', 'aria-label': label, title: label, data: { testid: 'visibility', public: String(post.is_public) }, onclick: press }, icon(post.is_public ? 'globe' : 'lock'));
}

function linkButton(post) {
  const press = async () => {
    const address = `${location.origin}/#/post/${post.id}`;
    try {
      if (navigator.share && matchMedia('(pointer: coarse)').matches) await navigator.share({ url: address });
      else {
        await navigator.clipboard.writeText(address);
        toast(t('linkCopied'));
      }
    } catch (error) {
      // Somebody who thinks better of it is not told so.
      if (error.name !== 'AbortError') openDialog(t('copyLink'), h('p', { class: 'link-text' }, address));
    }
  };
  return h('button', { type: 'button', class: 'plain', 'aria-label': t('copyLink'), title: t('copyLink'), data: { testid: 'copy-link' }, onclick: press }, icon('link'));
}

/** The user's own share counts once, and cannot be taken back. */
function shareButton(post, own) {
  const count = post.shares_count;
  const press = async () => {
    try {
      const { shares_count: now } = await share(post.id);
      toast(t(now === undefined ? 'sharedBefore' : own ? 'sharedOwn' : 'shared'));
    } catch (error) {
      toast(errorText(error));
    }
  };
  return h('button', { type: 'button', class: 'plain post-share', 'aria-label': `${t('share')}: ${count}`, title: t('share'), data: { testid: 'share-post', count: String(count) }, onclick: press },
    icon('share'), String(count));
}

function reactionButton(post, type, emoji, count, react) {
  const press = async () => {
    try {
      await react(type);
    } catch (error) {
      toast(errorText(error));
    }
  };
  return h('button', {
    type: 'button', class: `reaction react-${type}`, 'aria-pressed': String(ownReaction(post) === type), 'aria-label': `${t(type)}: ${count}`, title: t(type),
    data: { testid: 'post-reaction', type, count: String(count) }, onclick: press,
  }, h('span', { class: 'emoji' }, emoji), String(count));
}

function commentsLink(post) {
  const count = post.comments_count;
  return h('a', { class: 'plain post-comments', href: `#/post/${post.id}`, 'aria-label': commentsLabel(count), title: commentsLabel(count), data: { testid: 'post-comments', count: String(count) } },
    icon('chats'), String(count));
}

export const commentsLabel = (count) => (count === 1 ? t('comment1') : t('commentsCount', { n: count }));

function media(post) {
  const name = post.user.display_name;
  const images = (post.images ?? []).map(mediaAddress).filter(Boolean);
  const video = mediaAddress(post.video);
  if (images.length === 0 && !video) return null;
  const pictures = images.map((image, index) => {
    const alt = images.length > 1 ? t('photoNumber', { n: index + 1, name }) : t('image', { name });
    return h('button', { type: 'button', class: 'post-photo', 'aria-label': `${t('openImage')}: ${alt}`, data: { testid: 'post-image' }, onclick: () => openPhoto(image, alt) },
      h('img', { src: image, alt, loading: 'lazy' }));
  });
  return h('div', { class: `post-media shown-${Math.min(images.length, 3)}` }, pictures,
    video ? h('video', { src: video, controls: true, preload: 'metadata', playsinline: true, poster: mediaAddress(post.thumbnail) }) : null);
}

function askEdit(post, edit) {
  const mayBeEmpty = (post.images ?? []).length > 0 || Boolean(post.video);
  editText({ label: t('editPost'), text: post.content, max: POST_LENGTH_MAX, mayBeEmpty }, (content) => edit({ content }));
}

/** Edits the user's own text. `save(text)` may fail; then nothing closes. */
export function editText({ label, text, max, mayBeEmpty = false }, save) {
  const area = h('textarea', { class: 'edit-text', dir: 'auto', 'aria-label': label, rows: 5, value: text, data: { testid: 'edit-text' } });
  const counter = h('span', { class: 'counter', 'aria-live': 'polite' });
  const done = h('button', { type: 'submit', class: 'primary', data: { testid: 'save-text' } }, t('save'));
  const measure = () => {
    const length = [...area.value.trim()].length;
    counter.textContent = length > max ? t('tooLong', { n: length - max }) : '';
    counter.classList.toggle('problem', length > max);
    done.disabled = length > max || (length === 0 && !mayBeEmpty);
  };
  area.addEventListener('input', measure);
  const form = h('form', { class: 'edit-form' }, h('h2', null, label), area, counter,
    h('div', { class: 'buttons' }, h('button', { type: 'button', class: 'plain', onclick: () => dialog.close() }, t('cancel')), done));
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    if (done.disabled) return;
    done.disabled = true;
    try {
      await save(area.value.trim());
      dialog.close();
    } catch (error) {
      toast(errorText(error));
    }
    measure();
  });
  const dialog = openDialog(label, form);
  measure();
  area.focus();
}

/** Asks before an action that cannot be undone. `act()` may fail; then nothing closes. */
export function ask(question, act) {
  const sure = h('button', { type: 'button', class: 'primary danger', data: { testid: 'sure' } }, t('delete'));
  const no = h('button', { type: 'button', class: 'plain', onclick: () => dialog.close() }, t('cancel'));
  sure.addEventListener('click', async () => {
    sure.disabled = true;
    try {
      await act();
      dialog.close();
    } catch (error) {
      sure.disabled = false;
      toast(errorText(error));
    }
  });
  const dialog = openDialog(question, h('p', null, question), h('div', { class: 'buttons' }, no, sure));
  no.focus();
}
