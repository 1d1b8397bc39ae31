// One post as the feed and the post view show it.

import { toggleReaction, POST_REACTIONS } from './feed.js';
import { deletePost } from './feed_api.js';
import { h, openDialog, toast } from './dom.js';
import { errorText, t } from './i18n.js';
import { icon } from './icons.js';
import { avatar, mediaAddress } from './media.js';
import { openPhoto } from './message_menu.js';
import { linked } from './message_view.js';
import { session } from './session.js';
import { agoLabel, fullLabel } from './time.js';

/** What of a post is drawn, so that one that did not change keeps its element. */
export function postSignature(post) {
  const { updated_at: updated, likes_count: likes, celebrations_count: laughs, golazos_count: dislikes } = post;
  const at = agoLabel(Date.parse(post.created_at));
  return JSON.stringify([updated, likes, laughs, dislikes, post.comments_count, post.user_reaction, post.content, post.images, post.video, at]);
}

/** `draw()` is called when a reaction changed; `onDeleted()` once the post is gone. */
export function postCard(post, { draw, onDeleted, single = false }) {
  const own = post.user.id === session().user.id;
  const at = Date.parse(post.created_at);
  const time = h('time', { datetime: post.created_at, title: fullLabel(at) }, agoLabel(at));
  const label = t('seePost', { name: post.user.display_name });
  return h('article', { class: 'post', 'aria-label': label, data: { testid: 'post', postId: post.id } },
    h('header', { class: 'post-head' }, avatar(post.user),
      h('div', { class: 'post-who' },
        h('strong', null, post.user.display_name),
        h('span', { class: 'post-meta' }, `@${post.user.username} · `, single ? time : h('a', { href: `#/post/${post.id}`, 'aria-label': `${label}, ${fullLabel(at)}` }, time),
          post.is_public ? null : h('span', { class: 'post-private' }, icon('lock'), t('privatePost')))),
      own ? h('button', { type: 'button', class: 'icon-button', 'aria-label': t('deletePost'), title: t('deletePost'), data: { testid: 'delete-post' }, onclick: () => askDelete(post, onDeleted) }, icon('trash')) : null),
    post.content ? h('p', { class: 'post-text', data: { testid: 'post-text' } }, linked(post.content)) : null,
    media(post),
    h('footer', { class: 'post-foot' },
      h('div', { class: 'post-reactions', role: 'group', 'aria-label': t('react') },
        Object.entries(POST_REACTIONS).map(([type, { emoji, count }]) => reactionButton(post, type, emoji, post[count], draw))),
      single ? null : commentsLink(post)));
}

function reactionButton(post, type, emoji, count, draw) {
  const press = async () => {
    try {
      await toggleReaction(post, type, draw);
    } catch (error) {
      toast(errorText(error));
    }
  };
  return h('button', {
    type: 'button', class: `reaction react-${type}`, 'aria-pressed': String(post.user_reaction === type), 'aria-label': `${t(type)}: ${count}`, title: t(type),
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

function askDelete(post, onDeleted) {
  ask(t('deletePostAsk'), async () => {
    await deletePost(post.id);
    onDeleted();
  });
}

/** A question before what cannot be undone; `act()` may fail, and then nothing closes. */
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
