// The feed as data: newest posts first, kept up to date by one socket.

import * as feedApi from './feed_api.js';
import { REACTIONS } from './reactions.js';
import { session } from './session.js';
import { LiveSocket } from './socket.js';

/**
 * The reactions to posts under their stored names, with the fields of their counts. A golazo is a cheer, as in a chat.
 */
export const POST_REACTIONS = {
  like: { emoji: REACTIONS.like, count: 'likes_count' },
  celebration: { emoji: '🎉', count: 'celebrations_count' },
  golazo: { emoji: REACTIONS.golazo, count: 'golazos_count' },
};
/** Posts name the viewer's own reaction as an older front end did; frames use the stored names. */
const STORED_NAMES = { laugh: 'celebration', dislike: 'golazo' };
const COUNTS = ['likes_count', 'celebrations_count', 'golazos_count'];

export class Feed {
  /** `onChange()` draws; `onArrival(post)` is called for live posts by others. */
  constructor({ onChange, onArrival }) {
    this.onChange = onChange;
    this.onArrival = onArrival;
    this.me = session().user;
    this.list = [];
    this.next = null;
    this.loaded = false;
    this.failed = false;
    this.socket = new LiveSocket('/ws/feed/', {
      greeting: 'connection_established',
      onFrame: (frame) => this.received(frame),
      onState: (state) => this.entered(state),
    });
    this.load();
  }

  close() {
    this.closed = true;
    this.socket.close();
  }

  get state() {
    return this.socket?.state ?? { name: 'connecting' };
  }

  entered(state) {
    // Changes between two connections were sent to no socket, so the newest page is loaded again.
    if (state.name === 'live') {
      if (this.wasLive) this.load();
      this.wasLive = true;
    }
    this.onChange();
  }

  get hasMore() {
    return this.next !== null;
  }

  /** The newest page. It replaces what was known of its posts, except for changes by frames that arrived meanwhile. */
  async load() {
    const before = new Set(this.list.map((one) => one.id));
    this.removed = new Set();
    try {
      const { results, next } = await feedApi.posts();
      if (this.closed) return;
      const oldest = results.at(-1)?.created_at ?? '';
      const kept = this.list.filter((one) => !before.has(one.id) || (next !== null && one.created_at < oldest));
      const isGap = next !== null && !kept.some((one) => before.has(one.id));
      this.list = results.filter((one) => !this.removed.has(one.id)).map((one) => Object.assign(this.get(one.id) ?? {}, one));
      this.add(kept);
      if (next === null || isGap) this.next = next;
      this.loaded = true;
      this.failed = false;
    } catch {
      this.failed = true;
    }
    if (!this.closed) this.onChange();
  }

  async more() {
    const { results, next } = await feedApi.nextPage(this.next);
    if (this.closed) return;
    this.next = next;
    this.add(results);
    this.onChange();
  }

  add(posts) {
    const ids = new Set(this.list.map((one) => one.id));
    this.list = [...this.list, ...posts.filter((one) => !ids.has(one.id))].sort(newestFirst);
  }

  get(id) {
    return this.list.find((one) => one.id === id);
  }

  received(frame) {
    if (frame.type === 'new_post') this.arrived(frame.post);
    else if (frame.type === 'post_updated') this.updated(frame.post);
    else if (frame.type === 'post_deleted') this.remove(frame.post_id);
    else if (frame.type === 'post_reaction') this.reacted(frame.post_id, frame.reaction_data);
  }

  /** Posts that only their author sees are not part of the feed, such as those whose files are still being uploaded. */
  arrived(post) {
    if (!post.is_public || this.get(post.id)) return;
    this.add([post]);
    if (post.user.id !== this.me.id) this.onArrival(post);
    this.onChange();
  }

  updated(post) {
    const known = this.get(post.id);
    if (!post.is_public) return this.remove(post.id);
    if (known) {
      replace(known, post);
      this.onChange();
    } else if (post.user.id === this.me.id && this.list.every((one) => one.created_at <= post.created_at)) {
      this.arrived(post);
    }
  }

  remove(id) {
    this.removed?.add(id);
    if (!this.get(id)) return;
    this.list = this.list.filter((one) => one.id !== id);
    this.onChange();
  }

  reacted(id, data) {
    const post = this.get(id);
    if (!post) return;
    applyReaction(post, data, this.me.id);
    this.onChange();
  }
}

/** `post_updated` has no viewer, so the viewer's own reaction stays. */
export function replace(known, post) {
  const { user_reaction: reaction, is_bookmarked: bookmarked } = known;
  Object.assign(known, post, { user_reaction: reaction, is_bookmarked: bookmarked });
}

export function applyReaction(post, data, me) {
  for (const count of COUNTS) post[count] = data[count];
  const { user_id: who, reaction_type: stored } = data.user_reaction;
  if (who === me) post.user_reaction = stored;
}

/** The viewer's own reaction, or null. */
export function ownReaction({ user_reaction: name }) {
  return STORED_NAMES[name] ?? name ?? null;
}

/** Shows the reaction at once, and takes it back if the server refuses; `draw()` is called after each step. */
export async function toggleReaction(post, type, draw) {
  const before = { user_reaction: post.user_reaction, ...Object.fromEntries(COUNTS.map((count) => [count, post[count]])) };
  const was = ownReaction(post);
  if (was) post[POST_REACTIONS[was].count] -= 1;
  post.user_reaction = was === type ? null : type;
  if (post.user_reaction) post[POST_REACTIONS[type].count] += 1;
  draw();
  try {
    const { counts, reaction } = await feedApi.react(post.id, type);
    post.user_reaction = reaction ? type : null;
    for (const count of COUNTS) post[count] = counts[count];
  } catch (error) {
    Object.assign(post, before);
    throw error;
  } finally {
    draw();
  }
}

function newestFirst(a, b) {
  return b.created_at.localeCompare(a.created_at) || b.id.localeCompare(a.id);
}
