// Draws one post with its comments: replies, likes, and live comments by others.

import { ConnectionLabel } from './connection.js';
import { h, fill, isComposing, reconcile, toast } from './dom.js';
import { errorText, t } from './i18n.js';
import { icon } from './icons.js';
import { live } from './live.js';
import { avatar, mediaAddress } from './media.js';
import { linked } from './message_view.js';
import { personAddress } from './person_row.js';
import { PostThread } from './post.js';
import { ask, commentsLabel, editText, postCard, postSignature } from './post_card.js';
import { agoLabel, fullLabel } from './time.js';
import { typingDots, typingText } from './typing.js';

const LENGTH_MAX = 500;
const COUNTER_FROM = 400;

export class PostView {
  constructor(id) {
    this.answered = null;
    this.connection = new ConnectionLabel({ data: { testid: 'post-connection' } }, { onRetry: () => live().retry(), closedText: 'postHidden' });
    this.body = h('div', { class: 'post-box' });
    this.heading = h('h2', { class: 'comments-head' }, t('comments'));
    this.rows = h('ul', { class: 'comments', id: 'comments', 'aria-label': t('comments') });
    this.note = h('p', { class: 'feed-note', role: 'status' });
    this.more = h('button', { type: 'button', class: 'plain more', id: 'more-comments', hidden: true, onclick: () => this.showMore() }, t('moreComments'));
    this.announcer = h('p', { class: 'hidden-label', role: 'status' });
    this.form = this.composer();
    const back = h('a', { class: 'icon-button', href: '#/feed', id: 'back-to-feed', 'aria-label': t('backToFeed'), title: t('backToFeed') }, icon('back'));
    this.discussion = h('section', { class: 'discussion card', 'aria-label': t('comments'), hidden: true },
      this.heading, this.rows, this.more, this.typing, this.form);
    this.element = h('section', { class: 'feed', id: 'post-view' }, h('div', { class: 'feed-scroll' }, h('div', { class: 'feed-columns single' }, h('div', { class: 'feed-main' },
      h('div', { class: 'feed-head' }, back, h('h1', null, t('backToFeed')), this.connection.element), this.announcer,
      this.body, this.note, this.discussion))));
    this.thread = new PostThread(id, { onChange: () => this.draw(), onComment: (comment) => this.heard(comment) });
    this.ticker = setInterval(() => this.draw(), 60_000);
    this.draw();
  }

  close() {
    clearInterval(this.ticker);
    this.connection.close();
    this.thread.close();
  }

  composer() {
    this.text = h('textarea', { id: 'comment-text', rows: 1, dir: 'auto', placeholder: t('writeComment'), 'aria-label': t('writeComment'), 'aria-describedby': 'comment-counter', enterkeyhint: 'send' });
    this.counter = h('span', { class: 'counter', id: 'comment-counter', 'aria-live': 'polite' });
    this.send = h('button', { type: 'submit', class: 'icon-button send', id: 'comment-send', 'aria-label': t('send'), title: t('send') }, icon('send'));
    this.context = h('div', { class: 'context', hidden: true });
    this.text.addEventListener('input', () => {
      this.resized();
      if (this.text.value.trim() !== '') this.thread.store.setTyping(true);
    });
    this.text.addEventListener('keydown', (event) => {
      if (isComposing(event)) return;
      if (event.key === 'Enter' && !event.shiftKey) {
        event.preventDefault();
        this.submit();
      } else if (event.key === 'Escape' && this.answered) {
        this.answer(null);
      }
    });
    this.typing = h('p', { class: 'typing', data: { testid: 'post-typing' } });
    const form = h('form', { class: 'composer comment-form', id: 'comment-form' }, this.context,
      h('div', { class: 'composer-row' }, h('div', { class: 'text-box' }, this.text, this.counter), this.send));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.submit();
    });
    queueMicrotask(() => this.resized());
    return form;
  }

  resized() {
    this.text.style.height = 'auto';
    this.text.style.height = `${Math.min(this.text.scrollHeight, innerHeight * 0.3)}px`;
    const length = [...this.text.value.trim()].length;
    const over = length - LENGTH_MAX;
    this.counter.textContent = length < COUNTER_FROM ? '' : over > 0 ? t('tooLong', { n: over }) : t('left', { n: -over });
    this.counter.classList.toggle('problem', over > 0);
    this.send.disabled = this.busy || over > 0 || length === 0;
  }

  answer(comment) {
    this.answered = comment;
    this.context.hidden = comment === null;
    fill(this.context, comment && h('div', { class: 'context-line', data: { testid: 'context' } }, icon('reply'),
      h('span', { class: 'context-text' }, h('strong', null, t('replyingTo', { name: comment.user.display_name })), h('span', { dir: 'auto' }, comment.content)),
      h('button', { type: 'button', class: 'icon-button', 'aria-label': t('cancel'), onclick: () => this.answer(null) }, icon('close'))));
    this.text.focus();
  }

  async submit() {
    if (this.send.disabled) return;
    this.busy = true;
    this.text.readOnly = true;
    this.resized();
    try {
      await this.thread.comment(this.text.value.trim(), this.answered);
      this.text.value = '';
      this.answer(null);
    } catch (error) {
      toast(errorText(error));
    }
    this.busy = false;
    this.text.readOnly = false;
    this.resized();
  }

  heard(comment) {
    this.announcer.textContent = `${comment.user.display_name}: ${comment.content}`;
  }

  draw() {
    if (!this.thread) return;
    const { thread } = this;
    const { post, problem, state, hasMore } = thread;
    this.connection.element.hidden = problem !== null;
    this.connection.show(state);
    const texts = { gone: 'postGone', hidden: 'postHidden', failed: 'feedFailed' };
    const note = problem ? t(texts[problem]) : post ? '' : t('feedLoading');
    if (this.note.textContent !== note) this.note.textContent = note;
    const shown = post !== null && !['gone', 'hidden'].includes(problem);
    this.discussion.hidden = !shown;
    if (!shown) return fill(this.body);
    const card = () => postCard(post, { react: (type) => thread.store.react(type), edit: (fields) => thread.store.edit(fields), remove: () => this.remove(), single: true });
    reconcile(this.body, [{ key: post.id, signature: postSignature(post), render: card }]);
    this.heading.textContent = commentsLabel(post.comments_count);
    const rows = this.commentRows(null, 0);
    if (rows.length === 0) rows.push({ key: 'none', signature: '', render: () => h('li', { class: 'hint' }, t(post.allow_comments ? 'noComments' : 'commentsOff')) });
    reconcile(this.rows, rows);
    this.more.hidden = !hasMore;
    this.drawTyping();
    this.form.hidden = !post.allow_comments;
  }

  drawTyping() {
    const text = typingText(this.thread.typing.map((user) => this.thread.nameOf(user)));
    this.typing.classList.toggle('shown', text !== '');
    if (this.typing.textContent !== text) fill(this.typing, text && typingDots(), text);
  }

  async remove() {
    await this.thread.store.remove();
    location.hash = '#/feed';
  }

  /** Each comment is followed by its replies, indented one step further. */
  commentRows(parent, depth) {
    return this.thread.below(parent).flatMap((comment) => {
      const { id, content, likes_count: likes, is_liked: liked, is_edited: edited, replies_count: replies } = comment;
      const below = this.commentRows(id, depth + 1);
      const unseen = Math.max(0, replies - this.thread.below(id).length);
      const signature = JSON.stringify([content, likes, liked, edited, depth, agoLabel(Date.parse(comment.created_at))]);
      const rows = [{ key: id, signature, render: () => this.row(comment, depth) }, ...below];
      if (unseen > 0) rows.push({ key: `${id}-unseen`, signature: String(unseen), render: () => this.moreReplies(comment, unseen, depth + 1) });
      return rows;
    });
  }

  moreReplies(comment, unseen, depth) {
    const press = async (event) => {
      event.currentTarget.disabled = true;
      await this.thread.store.loadReplies(comment.id).catch((error) => toast(errorText(error)));
      event.target.disabled = false;
    };
    return h('li', { class: `depth-${Math.min(depth, 2)}` },
      h('button', { type: 'button', class: 'link more-replies', data: { testid: 'more-replies' }, onclick: press }, t('moreReplies', { n: unseen })));
  }

  edit(comment) {
    editText({ label: t('editComment'), text: comment.content, max: LENGTH_MAX }, (content) => this.thread.store.editComment(comment.id, content));
  }

  row(comment, depth) {
    const at = Date.parse(comment.created_at);
    const own = comment.user.id === this.thread.me.id;
    const image = mediaAddress(comment.image);
    return h('li', { class: `comment depth-${Math.min(depth, 2)}`, data: { testid: 'comment', commentId: comment.id } }, avatar(comment.user, 'small'),
      h('div', { class: 'comment-column' },
        h('div', { class: 'comment-bubble' }, h('a', { class: 'person-link', href: personAddress(comment.user.username), dir: 'auto' }, comment.user.display_name),
          h('p', { class: 'text', dir: 'auto', data: { testid: 'comment-text' } }, linked(comment.content)),
          image ? h('img', { class: 'comment-image', src: image, alt: t('image', { name: comment.user.display_name }) }) : null),
        h('div', { class: 'comment-foot' },
          h('time', { datetime: comment.created_at, title: fullLabel(at) }, agoLabel(at)), comment.is_edited ? ` · ${t('edited')}` : null,
          this.likeButton(comment),
          this.thread.post.allow_comments ? h('button', { type: 'button', class: 'link', data: { testid: 'comment-reply' }, onclick: () => this.answer(comment) }, t('reply')) : null,
          own ? h('button', { type: 'button', class: 'link', 'aria-label': t('editComment'), data: { testid: 'comment-edit' }, onclick: () => this.edit(comment) }, t('edit')) : null,
          own ? h('button', { type: 'button', class: 'link danger', 'aria-label': t('deleteComment'), data: { testid: 'comment-delete' }, onclick: () => ask(t('deleteCommentAsk'), () => this.thread.store.removeComment(comment.id)) }, t('delete')) : null)));
  }

  likeButton(comment) {
    const count = comment.likes_count;
    const press = () => this.thread.store.like(comment.id, !comment.is_liked).catch((error) => toast(errorText(error)));
    return h('button', {
      type: 'button', class: 'link comment-like', 'aria-pressed': String(comment.is_liked), 'aria-label': `${t('likeComment')}: ${count}`, title: t('likeComment'),
      data: { testid: 'comment-like', count: String(count) }, onclick: press,
    }, icon('heart'), count > 0 ? String(count) : '');
  }

  async showMore() {
    this.more.disabled = true;
    try {
      await this.thread.store.loadOlder();
    } catch (error) {
      toast(errorText(error));
    }
    this.more.disabled = false;
  }
}
