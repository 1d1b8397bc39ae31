// The feed as data: the client's store of it, newest posts first.

import { live, stateOf } from './live.js';
import { feed } from './pregon.js';
import { REACTIONS } from './reactions.js';
import { session } from './session.js';

/**
 * The reactions to posts under their stored names, with the fields of their counts. A golazo is a cheer, as in a chat.
 */
export const POST_REACTIONS = {
  like: { emoji: REACTIONS.like, count: 'likes_count' },
  celebration: { emoji: '🎉', count: 'celebrations_count' },
  golazo: { emoji: REACTIONS.golazo, count: 'golazos_count' },
};
/** Posts name the viewer's own reaction as an older front end did. */
const STORED_NAMES = { laugh: 'celebration', dislike: 'golazo' };

export class Feed {
  /** `onChange()` draws; `onArrival(post)` is called for live posts by others. */
  constructor({ onChange, onArrival }) {
    this.onChange = onChange;
    this.me = session().user;
    this.store = feed(live());
    const changed = () => this.onChange();
    this.leave = [
      this.store.subscribe(changed),
      live().connection.subscribe(changed),
      this.store.onEvent(({ type, post }) => type === 'new_post' && post.user.id !== this.me.id && onArrival(post)),
    ];
  }

  close() {
    for (const leave of this.leave) leave();
  }

  get state() {
    return stateOf(this.store.get());
  }

  /** Posts that only their author sees are not part of the feed, such as those whose files are still being uploaded. */
  get list() {
    return this.store.get().posts.filter((post) => post.is_public);
  }

  get loaded() {
    return this.store.get().status !== 'loading';
  }

  get failed() {
    return this.store.get().error !== null;
  }

  get hasMore() {
    return this.store.get().hasOlder;
  }
}

/** The viewer's own reaction, or null. */
export function ownReaction({ user_reaction: name }) {
  return STORED_NAMES[name] ?? name ?? null;
}
