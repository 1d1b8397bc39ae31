// One post with its comments as data, kept up to date by its own socket.

import { applyReaction, replace } from './feed.js';
import * as feedApi from './feed_api.js';
import { session } from './session.js';
import { LiveSocket } from './socket.js';

/** Replies below this depth are shown beside the comment they answer: the server shows this many levels. */
const DEPTH_MAX = 2;
/** The delay between a deletion that only the server can count and the query for the number of replies. */
const RECOUNT_AFTER_MS = 500;

export class PostThread {
  /** `onChange()` draws; `onComment(comment)` is called for live comments by others. */
  constructor(id, { onChange, onComment }) {
    this.id = id;
    this.onChange = onChange;
    this.onComment = onComment;
    this.me = session().user;
    this.post = null;
    this.problem = null;
    this.comments = new Map();
    /** The next page of replies, by comment. */
    this.replyPages = new Map();
    this.nextPage = 1;
    this.hasMore = false;
    this.start();
  }

  close() {
    this.closed = true;
    clearTimeout(this.recounting);
    this.socket?.close();
  }

  get state() {
    return this.socket?.state ?? { name: 'connecting' };
  }

  /** The socket is opened after the post was loaded: without a right to the post there is nothing to receive. */
  async start() {
    await this.load();
    if (this.closed || this.problem || this.socket) return;
    this.socket = new LiveSocket(`/ws/post/${this.id}/`, {
      onFrame: (frame) => this.received(frame),
      onState: (state) => this.entered(state),
    });
  }

  entered(state) {
    // Also the first time: changes between loading and the open socket were sent to nobody.
    if (state.name === 'live') this.load();
    if (state.name === 'closed') this.problem = 'hidden';
    this.onChange();
  }

  async load() {
    const removed = (this.removed = new Set());
    try {
      const [post, { results, next }] = await Promise.all([feedApi.post(this.id), feedApi.comments(this.id, 1)]);
      if (this.closed || this.problem === 'gone') return;
      this.post = Object.assign(this.post ?? {}, post);
      for (const comment of results) this.take(comment, removed);
      if (this.nextPage === 1) {
        this.nextPage = 2;
        this.hasMore = next !== null;
      }
      this.problem = null;
    } catch (error) {
      if (this.closed) return;
      if (error.status === 403 || error.status === 404) this.problem = 'hidden';
      else if (!this.post) this.problem = 'failed';
    }
    this.onChange();
  }

  async more() {
    const { results, next } = await feedApi.comments(this.id, this.nextPage);
    if (this.closed) return;
    this.nextPage += 1;
    this.hasMore = next !== null;
    for (const comment of results) this.take(comment, new Set());
    this.onChange();
  }

  /** The next replies to a comment. The first page holds some that are already shown. */
  async moreReplies(comment) {
    const page = this.replyPages.get(comment.id) ?? 1;
    const removed = this.removed;
    const { results, next } = await feedApi.replies(comment.id, page);
    if (this.closed) return;
    this.replyPages.set(comment.id, page + 1);
    for (const reply of results) this.take(reply, removed);
    if (next === null) {
      comment.replies_count = this.below(comment.id).length;
      this.replyPages.delete(comment.id);
    }
    this.onChange();
  }

  /** Stores a comment and the replies inside it, each by its id. */
  take(comment, removed) {
    if (removed.has(comment.id)) return;
    const { replies, ...fields } = comment;
    this.comments.set(comment.id, Object.assign(this.comments.get(comment.id) ?? {}, fields));
    for (const reply of replies ?? []) this.take(reply, removed);
  }

  /** Comments below `parent` (null: on the post itself), oldest first. */
  below(parent) {
    const found = [...this.comments.values()].filter((one) => (one.parent ?? null) === parent);
    return found.sort((a, b) => a.created_at.localeCompare(b.created_at) || a.id.localeCompare(b.id));
  }

  depth(comment) {
    const above = comment.parent ? this.comments.get(comment.parent) : null;
    return above ? this.depth(above) + 1 : 0;
  }

  received(frame) {
    if (frame.type === 'new_comment') this.commented(frame.comment);
    else if (frame.type === 'comment_updated') this.edited(frame.comment);
    else if (frame.type === 'comment_deleted') this.forget(frame.comment_id);
    else if (frame.type === 'comment_like') this.liked(frame.comment_id, frame.likes_count);
    else if (frame.type === 'post_reaction' && this.post) applyReaction(this.post, frame.reaction_data, this.me.id);
    else if (frame.type === 'post_updated' && this.post) replace(this.post, frame.post);
    else if (frame.type === 'post_deleted') this.gone();
    this.onChange();
  }

  commented(comment) {
    if (this.comments.has(comment.id)) return;
    this.take(comment, new Set());
    const above = this.comments.get(comment.parent);
    if (above) above.replies_count += 1;
    if (comment.user.id !== this.me.id) this.onComment(comment);
  }

  /** Frames have no viewer, so only this page knows whether the reader likes it. */
  edited(comment) {
    const known = this.comments.get(comment.id);
    if (known) this.take({ ...comment, replies: [], is_liked: known.is_liked }, new Set());
  }

  forget(id) {
    if (this.removed.has(id)) return;
    this.removed.add(id);
    const comment = this.comments.get(id);
    if (!comment) return this.recountSoon();
    for (const reply of this.below(id)) this.forget(reply.id);
    const above = this.comments.get(comment.parent);
    if (above) above.replies_count = Math.max(0, above.replies_count - 1);
    this.comments.delete(id);
  }

  /** A reply was deleted that was never loaded, so it is not known which comment has one less. */
  recountSoon() {
    this.recounting ??= setTimeout(() => {
      this.recounting = null;
      this.recount();
    }, RECOUNT_AFTER_MS);
  }

  async recount() {
    const { removed, nextPage } = this;
    try {
      for (let page = 1; page < nextPage && !this.closed && !this.problem; page += 1) {
        const { results } = await feedApi.comments(this.id, page);
        for (const comment of results) this.take(comment, removed);
      }
    } catch {
      // There are fewer pages now, or no connection; a returning reader loads everything again.
    }
    if (!this.closed) this.onChange();
  }

  liked(id, count) {
    const comment = this.comments.get(id);
    if (comment) comment.likes_count = count;
  }

  gone() {
    this.problem = 'gone';
    this.socket?.close();
  }

  /** Stores a comment, and shows it even if the socket is down. */
  async comment(content, answered) {
    const parent = answered && this.depth(answered) >= DEPTH_MAX ? answered.parent : answered?.id;
    const comment = await feedApi.addComment(this.id, content, parent);
    if (this.closed) return;
    this.commented(comment);
    this.onChange();
  }

  async toggleLike(comment) {
    const was = comment.is_liked;
    comment.is_liked = !was;
    this.onChange();
    try {
      const { likes_count: count } = await (was ? feedApi.unlikeComment(comment.id) : feedApi.likeComment(comment.id));
      if (count !== undefined) comment.likes_count = count;
    } catch (error) {
      comment.is_liked = was;
      throw error;
    } finally {
      this.onChange();
    }
  }

  async edit(comment, content) {
    this.edited(await feedApi.editComment(comment.id, content));
    this.onChange();
  }

  async remove(comment) {
    await feedApi.deleteComment(comment.id);
    this.forget(comment.id);
    this.onChange();
  }
}
