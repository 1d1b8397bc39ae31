// The feed and single posts. Events have no viewer, so what only this user sees of a post stays as it was.

import type { Client, Host } from './client.js';
import { dashedId, plainId } from './store.js';
import { type Internal, joined, liveTopic, type LiveTopic } from './topic.js';
import type { Comment, Live, Page, Post } from './types.js';

export interface FeedState extends Live {
  /** The newest first. */
  posts: readonly Post[];
}

export interface Feed extends LiveTopic<FeedState> {
  /** A reaction of the user: again the same one takes it back. */
  react(post: string, reaction: string): Promise<unknown>;
  publish(post: object): Promise<Post>;
}

export interface PostState extends Live {
  /** Null until it is read, and after it was deleted. */
  post: Post | null;
  /** Top-level comments, the oldest first, each with its first replies. `hasOlder`: there are later ones. */
  comments: readonly Comment[];
}

export interface LivePost extends LiveTopic<PostState> {
  react(reaction: string): Promise<unknown>;
  comment(content: string, parent?: string): Promise<Comment>;
  like(comment: string, isLiked: boolean): Promise<void>;
}

/** A post as a server component has read it. */
export interface PostPage {
  post: object;
  comments: Page<object>;
  /** The header X-Pregon-Cursor of the post's answer. */
  cursor?: string | null;
}

const PATH = '/api/posts/';
/** Reactions have two spellings; this is the one that posts show their viewer. */
const SHOWN: Record<string, string> = { celebration: 'laugh', golazo: 'dislike' };

const reactTo = (host: Host, id: string, reaction_type: string) => host.call('POST', `${PATH}${dashedId(id)}/react/`, { reaction_type });

/** A post after an event, for this viewer. */
function after(host: Host, known: Post, { post, reaction_data: data }: any): Post {
  const { user_reaction, is_bookmarked } = known;
  if (post) return { ...known, ...post, user_reaction, is_bookmarked };
  const { user_id, reaction_type: type = null } = data.user_reaction;
  return { ...known, ...data, user_reaction: user_id === host.me?.id ? (SHOWN[type] ?? type) : user_reaction };
}

/** The feed's store. `page` is what a server component has read, and counts for a store that is new. */
export const feed = (client: Client, page?: Page<object>): Feed => (client as Host).store('feed', (host) => createFeed(host, page));

/** A post's store: the same one for the same post. */
export const post = (client: Client, id: string, page?: PostPage): LivePost =>
  (client as Host).store(`post:${plainId(id)}`, (host) => createPost(host, id, page));

function createFeed(host: Host, page?: Page<object>): Feed {
  let etag = page?.etag ?? null;
  const posts = (): readonly Post[] => topic.get().posts;

  const topic: Internal<FeedState> = liveTopic<FeedState>(host, 'feed', { posts: [] }, page, {
    /** A feed has no order of its own. It is read after it was subscribed to, and each event says how a post is (docs/protocol.md). */
    async read() {
      const { body } = await host.call('GET', PATH, undefined, etag);
      // Its tag is that of the page: it counts only as long as that page is what is shown.
      etag = null;
      return { page: body, cursor: null };
    },
    first: (results) => ({ posts: results }),
    more: (older) => ({ posts: joined(posts(), older) }),
    apply(event) {
      const { post } = event;
      const id = post?.id ?? event.post_id;
      if (event.type === 'post_deleted') topic.set({ posts: posts().filter((one) => one.id !== id) });
      else if (posts().some((one) => one.id === id)) topic.set({ posts: posts().map((one) => (one.id === id ? after(host, one, event) : one)) });
      else if (post) {
        const place = posts().findIndex((one) => one.created_at < post.created_at);
        // Older posts than those that are shown come with their page.
        if (place >= 0 || !topic.get().hasOlder) topic.set({ posts: posts().toSpliced(place < 0 ? posts().length : place, 0, post) });
      }
    },
  });

  return {
    ...topic,
    react: (post, reaction) => reactTo(host, post, reaction),
    publish: async (post) => (await host.call('POST', PATH, post)).body,
  };
}

/** Every comment and reply that is shown; null takes one away. */
const each = (list: readonly Comment[], patch: (comment: Comment) => Comment | null): Comment[] =>
  list.flatMap((comment) => {
    const patched = patch(comment);
    return patched ? [{ ...patched, replies: each(patched.replies ?? [], patch) }] : [];
  });

function createPost(host: Host, id: string, page?: PostPage): LivePost {
  const path = `${PATH}${dashedId(id)}/`;

  function change(ids: string[], patch: (comment: Comment) => Partial<Comment> | null, more?: Partial<Post>) {
    const { post, comments } = topic.get();
    topic.set({
      post: post && { ...post, ...more },
      comments: each(comments, (one) => {
        const patched = ids.includes(one.id) ? patch(one) : {};
        return patched && { ...one, ...patched };
      }),
    });
  }

  function add(comment: Comment, comments_count = 0) {
    let isKnown = false;
    each(topic.get().comments, (one) => ((isKnown ||= one.id === comment.id), one));
    if (isKnown) return;
    const { parent } = comment;
    const more = { comments_count: comments_count + 1 };
    change(parent ? [parent] : [], (one) => ({ replies: [...(one.replies ?? []), comment], replies_count: one.replies_count + 1 }), more);
    if (!parent && !topic.get().hasOlder) topic.set({ comments: [...topic.get().comments, comment] });
  }

  const topic: Internal<PostState> = liveTopic<PostState>(
    host,
    `post:${plainId(id)}`,
    { post: (page?.post as Post) ?? null, comments: [] },
    page && { ...page.comments, cursor: page.cursor ?? null },
    {
      async read() {
        // What happens between the two is in the second, and told once more behind the first one's place.
        const post = await host.call('GET', path);
        const comments = await host.call('GET', `${path}comments/`);
        return { page: comments.body, patch: { post: post.body }, cursor: post.cursor };
      },
      first: (comments) => ({ comments }),
      more: (later) => ({ comments: joined(topic.get().comments, later) }),
      apply(event) {
        const { post } = topic.get();
        const { type, comment, comment_ids, comment_id, likes_count, shares_count } = event;
        const { comments_count: count = 0 } = post ?? {};
        if (type === 'post_deleted') topic.set({ post: null, comments: [] });
        else if (type === 'new_comment') add(comment, count);
        else if (comment) {
          const { content, image, is_edited } = comment;
          change([comment.id], () => ({ content, image, is_edited }));
        } else if (comment_ids) change(comment_ids, () => null, { comments_count: event.comments_count ?? count - 1 });
        else if (comment_id) change([comment_id], () => ({ likes_count }));
        else if (type === 'post_shared') change([], () => null, { shares_count });
        else if (post && (event.post || event.reaction_data)) topic.set({ post: after(host, post, event) });
      },
    },
  );

  return {
    ...topic,
    react: (reaction) => reactTo(host, id, reaction),
    comment: async (content, parent) => (await host.call('POST', `${path}comments/`, { content, ...(parent && { parent }) })).body,
    async like(comment, is_liked) {
      await host.call(is_liked ? 'POST' : 'DELETE', `${PATH}comments/${dashedId(comment)}/like/`);
      change([comment], () => ({ is_liked }));
    },
  };
}
