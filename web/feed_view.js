// Draws the feed: composer, posts, and people to follow beside them.

import { ConnectionLabel } from './connection.js';
import { Feed } from './feed.js';
import { h, fill, reconcile, toast } from './dom.js';
import { errorText, t } from './i18n.js';
import { icon, LOGO } from './icons.js';
import { live } from './live.js';
import { PeopleView } from './people_view.js';
import { postCard, postSignature } from './post_card.js';
import { PostComposer } from './post_composer.js';

export class FeedView {
  /** `onArrival(post)` is called for live posts by others. */
  constructor({ onArrival }) {
    this.onArrival = onArrival;
    this.composer = new PostComposer({ feed: () => this.feed.store });
    this.people = new PeopleView({ onFollowed: () => this.feed.store.reload() });
    this.connection = new ConnectionLabel({ id: 'feed-connection', data: { testid: 'feed-connection' } }, { onRetry: () => live().retry() });
    this.news = h('button', { type: 'button', class: 'primary feed-news', id: 'feed-news', hidden: true, onclick: () => this.toTop() }, icon('down'), t('newPosts'));
    this.rows = h('div', { class: 'posts', role: 'feed', id: 'posts', 'aria-label': t('feed'), 'aria-busy': 'true' });
    this.note = h('div', { class: 'feed-note', role: 'status' });
    this.more = h('button', { type: 'button', class: 'plain more', id: 'more-posts', hidden: true, onclick: () => this.showMore() }, t('morePosts'));
    // For screen readers. The posts themselves would be read again whenever their counts change.
    this.announcer = h('p', { class: 'hidden-label', role: 'status' });
    this.scroller = h('div', { class: 'feed-scroll' },
      h('div', { class: 'feed-columns' },
        h('div', { class: 'feed-main' },
          h('div', { class: 'feed-head' }, h('h1', null, t('feed')), this.connection.element),
          this.composer.element, this.announcer, this.news, this.rows, this.note, this.more),
        this.people.element));
    this.element = h('section', { class: 'feed', 'aria-label': t('feed') }, this.scroller);
    this.feed = new Feed({ onChange: () => this.draw(), onArrival: (post) => this.arrived(post) });
    this.ticker = setInterval(() => this.draw(), 60_000);
    this.draw();
  }

  close() {
    clearInterval(this.ticker);
    this.feed.close();
    this.composer.close();
    this.people.close();
    this.connection.close();
  }

  /** Restores the scroll position, which a removed element forgets. */
  shown() {
    this.scroller.scrollTop = this.top ?? 0;
  }

  leaving() {
    this.top = this.scroller.scrollTop;
  }

  draw() {
    if (!this.feed) return;
    const { list, loaded, failed, hasMore, state } = this.feed;
    this.connection.show(state);
    const first = this.rows.firstElementChild;
    const before = first?.getBoundingClientRect().top;
    reconcile(this.rows, list.map((post) => ({ key: post.id, signature: postSignature(post), render: () => this.card(post) })));
    // Posts that arrive above do not move the visible ones.
    if (first?.isConnected && this.scroller.scrollTop > 0) this.scroller.scrollTop += first.getBoundingClientRect().top - before;
    this.rows.setAttribute('aria-busy', String(!loaded));
    this.more.hidden = !hasMore;
    const kind = list.length > 0 ? '' : failed ? 'failed' : loaded ? 'empty' : 'loading';
    this.element.classList.toggle('is-empty', kind === 'empty');
    if (this.note.dataset.kind !== kind) this.drawNote(kind);
  }

  drawNote(kind) {
    this.note.dataset.kind = kind;
    const texts = {
      failed: [h('p', null, t('feedFailed')), h('button', { type: 'button', class: 'plain', onclick: () => this.feed.store.reload() }, t('retry'))],
      empty: [h('img', { src: LOGO, alt: '' }), h('h2', null, t('postEmptyTitle')), h('p', null, t('postEmptyText'))],
      loading: [h('p', null, t('feedLoading'))],
    };
    fill(this.note, texts[kind] ?? []);
  }

  card(post) {
    const { store } = this.feed;
    return postCard(post, { react: (type) => store.react(post.id, type), edit: (fields) => store.edit(post.id, fields), remove: () => store.remove(post.id) });
  }

  arrived(post) {
    const text = post.content.length > 80 ? `${post.content.slice(0, 80)}…` : post.content;
    this.announcer.textContent = `${t('seePost', { name: post.user.display_name })}: ${text}`;
    if (this.scroller.scrollTop > 80) {
      this.news.hidden = false;
      this.scroller.addEventListener('scroll', () => this.hideNews(), { passive: true });
    }
    this.onArrival(post);
  }

  hideNews() {
    if (this.scroller.scrollTop < 40) this.news.hidden = true;
  }

  toTop() {
    const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
    this.scroller.scrollTo({ top: 0, behavior: calm ? 'instant' : 'smooth' });
    this.news.hidden = true;
  }

  async showMore() {
    this.more.disabled = true;
    try {
      await this.feed.store.loadOlder();
    } catch (error) {
      toast(errorText(error));
    }
    this.more.disabled = false;
  }
}
