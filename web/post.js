// One post with its comments as data: the client's store of it.

import { live, stateOf } from './live.js';
import { post as postOf } from './pregon.js';
import { session } from './session.js';

/** Replies below this depth are shown beside the comment they answer: the server shows this many levels. */
const DEPTH_MAX = 2;

export class PostThread {
  /** `onChange()` draws; `onComment(comment)` is called for live comments by others. */
  constructor(id, { onChange, onComment }) {
    this.id = id;
    this.me = session().user;
    this.store = postOf(live(), id);
    this.leave = [
      this.store.subscribe(() => {
        this.read();
        onChange();
      }),
      live().connection.subscribe(() => onChange()),
      this.store.onEvent(({ type, comment }) => type === 'new_comment' && comment.user.id !== this.me.id && onComment(comment)),
    ];
    this.read();
  }

  close() {
    this.store.setTyping(false);
    for (const leave of this.leave) leave();
  }

  /** Comments by their ids, with their replies. */
  read() {
    this.comments = new Map();
    const take = (comment) => {
      this.comments.set(comment.id, comment);
      for (const reply of comment.replies ?? []) take(reply);
    };
    for (const comment of this.store.get().comments) take(comment);
  }

  get post() {
    return this.store.get().post;
  }

  get typing() {
    return this.store.get().typing;
  }

  /** Events name people by their username; whoever has written here is known by more. */
  nameOf({ id, username }) {
    const known = [this.post, ...this.comments.values()].find((one) => one?.user.id === id);
    return known?.user.display_name ?? `@${username}`;
  }

  get state() {
    return stateOf(this.store.get());
  }

  get hasMore() {
    return this.store.get().hasOlder;
  }

  /** Why there is nothing to see: `gone`, `hidden` or `failed`. */
  get problem() {
    const { status, post, error } = this.store.get();
    if (status === 'lost') return 'hidden';
    if (post) return null;
    return status !== 'loading' ? 'gone' : error ? 'failed' : null;
  }

  /** Comments below `parent` (null: on the post itself), oldest first. */
  below(parent) {
    return parent === null ? this.store.get().comments : (this.comments.get(parent)?.replies ?? []);
  }

  depth(comment) {
    const above = comment.parent ? this.comments.get(comment.parent) : null;
    return above ? this.depth(above) + 1 : 0;
  }

  comment(content, answered) {
    const parent = answered && this.depth(answered) >= DEPTH_MAX ? answered.parent : answered?.id;
    return this.store.comment(content, parent);
  }
}
