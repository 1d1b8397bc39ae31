// The feed and single posts. Events have no viewer, so what only this user sees of a post stays as it was.

import type { Host } from './client.js';
import { dashedId, plainId } from './store.js';
import { liveTopic, type LiveTopic, pathOf } from './topic.js';
import type { Comment, Live, Page, Post } from './types.js';

export interface FeedState extends Live {
  /** The newest first. */
  posts: readonly Post[];
}

export interface Feed extends LiveTopic<FeedState> {
  loadOlder(): Promise<void>;
  /** A reaction of the user: again the same one takes it back. */
  react(post: string, reaction: string): Promise<void>;
  publish(post: object): Promise<Post>;
}

export interface PostState extends Live {
  /** Null until it is read, and after it was deleted. */
  post: Post | null;
  /** Top-level comments, the oldest first, each with its first replies. `hasOlder`: there are later ones. */
  comments: readonly Comment[];
}

export interface LivePost extends LiveTopic<PostState> {
  /** The next page of comments. */
  loadOlder(): Promise<void>;
  react(reaction: string): Promise<void>;
  comment(content: string, parent?: string): Promise<Comment>;
  like(comment: string, isLiked: boolean): Promise<void>;
}

/** Reactions have two spellings; this is the one that posts show their viewer. */
const SHOWN: Record<string, string> = { celebration: 'laugh', golazo: 'dislike' };

const reactTo = (host: Host, id: string, reaction_type: string) => host.json('POST', `/api/posts/${dashedId(id)}/react/`, { reaction_type });

/** A post as an event tells it, for this viewer. */
const seen = (known: Post | null | undefined, post: Post): Post =>
  known ? { ...known, ...post, user_reaction: known.user_reaction, is_bookmarked: known.is_bookmarked } : post;

function counted(host: Host, post: Post, { user_reaction, post_id: _, ...counts }: any): Post {
  const isMine = user_reaction?.user_id === host.me?.id;
  const type = user_reaction?.reaction_type;
  return { ...post, ...counts, ...(isMine && { user_reaction: SHOWN[type] ?? type ?? null }) };
}

export function createFeed(host: Host, page?: Page<object>, path = '/api/posts/'): Feed {
  let older: string | null = null;
  let etag = page?.etag ?? null;
  const posts = () => topic.get().posts;

  function firstPage({ results, next }: Page<object>) {
    older = pathOf(next);
    return { posts: results as Post[], hasOlder: !!older };
  }

  function put(post: Post) {
    const place = posts().findIndex((one) => one.id === post.id);
    const isNewer = (one: Post) => one.created_at < post.created_at;
    if (place >= 0) topic.set({ posts: posts().with(place, seen(posts()[place], post)) });
    // Older posts than those that are shown come with their page.
    else if (!older || posts().some(isNewer)) {
      const before = posts().findIndex(isNewer);
      topic.set({ posts: posts().toSpliced(before < 0 ? posts().length : before, 0, post) });
    }
  }

  const topic = liveTopic<FeedState>(host, 'feed', { posts: [], ...(page && firstPage(page)) }, page, {
    /** A feed has no order of its own. It is read after it was subscribed to, and each event says how a post is (docs/protocol.md). */
    async read() {
      const answer = await host.list(path, etag);
      // Its tag is that of the page: it counts only as long as the first page is what is shown.
      etag = null;
      return { patch: answer.body ? firstPage(answer.body) : {}, cursor: null };
    },
    apply(event) {
      switch (event.type) {
        case 'new_post':
        case 'post_updated':
          return put(event.post);
        case 'post_deleted':
          return topic.set({ posts: posts().filter((post) => post.id !== event.post_id) });
        case 'post_reaction':
          return topic.set({
            posts: posts().map((post) => (post.id === event.reaction_data.post_id ? counted(host, post, event.reaction_data) : post)),
          });
      }
    },
  });

  return {
    ...topic,
    async loadOlder() {
      const from = older;
      if (!from) return;
      const { results, next } = await host.json('GET', from);
      if (older !== from) return;
      older = pathOf(next);
      const known = new Set(posts().map((post) => post.id));
      topic.set({ posts: [...posts(), ...results.filter((post: Post) => !known.has(post.id))], hasOlder: !!older });
    },
    react: (post, reaction) => reactTo(host, post, reaction),
    publish: (post) => host.json('POST', '/api/posts/', post),
  };
}

export function createPost(host: Host, id: string, page?: { post: object; comments: Page<object>; cursor?: string | null }): LivePost {
  const path = `/api/posts/${dashedId(id)}/`;
  let more: string | null = null;

  function first(post: object, { results, next }: Page<object>) {
    more = pathOf(next);
    return { post: post as Post, comments: results as Comment[], hasOlder: !!more };
  }

  const set = (post: Partial<Post>, comments = topic.get().comments) => {
    const known = topic.get().post;
    topic.set({ post: known && { ...known, ...post }, comments });
  };

  /** Every comment and reply that is shown; null takes one away. */
  const each = (list: readonly Comment[], patch: (comment: Comment) => Comment | null): Comment[] =>
    list.flatMap((comment) => {
      const patched = patch(comment);
      return patched ? [{ ...patched, replies: each(patched.replies ?? [], patch) }] : [];
    });

  function add(comment: Comment) {
    let isKnown = false;
    let comments = each(topic.get().comments, (one) => {
      isKnown ||= one.id === comment.id;
      return one;
    });
    if (isKnown) return;
    if (comment.parent) {
      comments = each(comments, (one) =>
        one.id === comment.parent ? { ...one, replies: [...(one.replies ?? []), comment], replies_count: one.replies_count + 1 } : one,
      );
    } else if (!more) comments.push(comment);
    set({ comments_count: (topic.get().post?.comments_count ?? 0) + 1 }, comments);
  }

  const topic = liveTopic<PostState>(
    host,
    `post:${plainId(id)}`,
    { post: null, comments: [], ...(page && first(page.post, page.comments)) },
    page,
    {
      async read() {
        // What happens between the two is in the second, and told once more behind the first one's place.
        const post = await host.list(path);
        const comments = await host.list(`${path}comments/`);
        return { patch: first(post.body, comments.body), cursor: post.cursor };
      },
      apply(event) {
        const { comments, post } = topic.get();
        switch (event.type) {
          case 'post_updated':
            return topic.set({ post: seen(post, event.post) });
          case 'post_deleted':
            return topic.set({ post: null, comments: [] });
          case 'post_reaction':
            return topic.set({ post: post && counted(host, post, event.reaction_data) });
          case 'new_comment':
            return add(event.comment);
          case 'comment_updated': {
            const { content, image, is_edited } = event.comment;
            return set({}, each(comments, (one) => (one.id === event.comment.id ? { ...one, content, image, is_edited } : one)));
          }
          case 'comment_like':
            return set({}, each(comments, (one) => (one.id === event.comment_id ? { ...one, likes_count: event.likes_count } : one)));
          case 'comments_deleted': {
            const { comments_count = (post?.comments_count ?? 1) - 1 } = event;
            return set({ comments_count }, each(comments, (one) => (event.comment_ids.includes(one.id) ? null : one)));
          }
          case 'post_shared':
            return set({ shares_count: event.shares_count });
        }
      },
    },
  );

  return {
    ...topic,
    async loadOlder() {
      const from = more;
      if (!from) return;
      const { results, next } = await host.json('GET', from);
      if (more !== from) return;
      more = pathOf(next);
      const known = new Set(topic.get().comments.map((comment) => comment.id));
      topic.set({ comments: [...topic.get().comments, ...results.filter((one: Comment) => !known.has(one.id))], hasOlder: !!more });
    },
    react: (reaction) => reactTo(host, id, reaction),
    comment: (content, parent) => host.json('POST', `${path}comments/`, { content, ...(parent && { parent }) }),
    async like(comment, is_liked) {
      await host.json(is_liked ? 'POST' : 'DELETE', `/api/posts/comments/${dashedId(comment)}/like/`);
      set({}, each(topic.get().comments, (one) => (one.id === comment ? { ...one, is_liked } : one)));
    },
  };
}
