// The feed and single posts. Events have no viewer, so what only this user sees of a post stays as it was.

import type { Client, Host } from './client.js';
import { dashedId, plainId } from './store.js';
import { type Internal, joined, liveTopic, type LiveTopic, pathOf } from './topic.js';
import type { Comment, Live, Page, Person, Post } from './types.js';
import { createTyping } from './typing.js';

export interface FeedState extends Live {
  /** The newest first. */
  posts: readonly Post[];
}

export interface Feed extends LiveTopic<FeedState> {
  /** A reaction of the user, which shows at once: again the same one takes it back. */
  react(post: string, reaction: string): Promise<unknown>;
  publish(post: object): Promise<Post>;
  /** Changes some of the fields of the user's own post. */
  edit(post: string, fields: object): Promise<Post>;
  remove(post: string): Promise<void>;
  /** Shows a post that was published otherwise, such as with files. */
  put(post: object): void;
}

export interface PostState extends Live {
  /** Null until it is read, and after it was deleted. */
  post: Post | null;
  /** Top-level comments, the oldest first, each with its first replies. `hasOlder`: there are later ones. */
  comments: readonly Comment[];
  /** Who is writing a comment now, without the user. */
  typing: readonly Person[];
}

export interface LivePost extends LiveTopic<PostState> {
  /** It shows at once: again the same one takes it back. */
  react(reaction: string): Promise<unknown>;
  /** Changes some of the fields of the user's own post. */
  edit(fields: object): Promise<Post>;
  remove(): Promise<void>;
  comment(content: string, parent?: string): Promise<Comment>;
  editComment(comment: string, content: string): Promise<void>;
  removeComment(comment: string): Promise<void>;
  /** The next page of replies to a comment. */
  loadReplies(comment: string): Promise<void>;
  /** Call it with each key; others are told every few seconds at most. */
  setTyping(isTyping: boolean): void;
  /** It shows at once. */
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

const COUNTED: Record<string, string> = {
  like: 'likes_count',
  laugh: 'celebrations_count',
  dislike: 'golazos_count',
};
/** A reply that was deleted may be none that is known: then the server is asked for the number of replies, after so long. */
const RECOUNT_MS = 500;

/** Shows a reaction at once, and takes it back if the server refuses it. */
async function reactTo(host: Host, id: string, reaction_type: string, known: Post | null | undefined, show: (patch: Partial<Post>) => void) {
  const type = SHOWN[reaction_type] ?? reaction_type;
  const patch: Record<string, unknown> = {};
  const add = (reaction: string | null, by: number) => {
    const field = reaction && COUNTED[SHOWN[reaction] ?? reaction];
    if (field) patch[field] = Math.max(0, Number(patch[field] ?? known![field] ?? 0) + by);
  };
  if (known) {
    const { user_reaction: was } = known;
    add(was, -1);
    patch.user_reaction = was === type ? null : type;
    add(patch.user_reaction as string | null, 1);
    show(patch);
  }
  try {
    const { body } = await host.call('POST', `${PATH}${dashedId(id)}/react/`, { reaction_type });
    if (known && body.counts) show({ ...body.counts, user_reaction: body.reaction ? type : null });
    return body;
  } catch (error) {
    if (known) show(Object.fromEntries(Object.keys(patch).map((key) => [key, known[key]])));
    throw error;
  }
}

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
      else if (post) put(post);
    },
  });

  /** Older posts than those that are shown come with their page. */
  function put(post: any) {
    const place = posts().findIndex((one) => one.created_at < post.created_at);
    if (posts().some(({ id }) => id === post.id)) change(post.id, post);
    else if (place >= 0 || !topic.get().hasOlder) topic.set({ posts: posts().toSpliced(place < 0 ? posts().length : place, 0, post) });
  }

  const change = (id: string, patch: Partial<Post>) => topic.set({ posts: posts().map((one) => (one.id === id ? { ...one, ...patch } : one)) });

  return {
    ...topic,
    react: (id, reaction) => reactTo(host, id, reaction, posts().find((one) => one.id === id), (patch) => change(id, patch)),
    publish: async (post) => (await host.call('POST', PATH, post)).body,
    async edit(id, fields) {
      const { body } = await host.call('PATCH', `${PATH}${dashedId(id)}/`, fields);
      put(body);
      return body;
    },
    async remove(id) {
      await host.call('DELETE', `${PATH}${dashedId(id)}/`);
      topic.set({ posts: posts().filter((one) => one.id !== id) });
    },
    put,
  };
}

/** The oldest first. */
const ordered = (comments: Comment[]) => comments.sort((a, b) => (a.created_at === b.created_at ? (a.id < b.id ? -1 : 1) : a.created_at < b.created_at ? -1 : 1));

/** Every comment and reply that is shown; null takes one away. */
const each = (list: readonly Comment[], patch: (comment: Comment) => Comment | null): Comment[] =>
  list.flatMap((comment) => {
    const patched = patch(comment);
    return patched ? [{ ...patched, replies: each(patched.replies ?? [], patch) }] : [];
  });

function createPost(host: Host, id: string, page?: PostPage): LivePost {
  const path = `${PATH}${dashedId(id)}/`;
  const pathTo = (comment: string) => `${PATH}comments/${dashedId(comment)}/`;
  /** The next page of replies, by comment. */
  const pages = new Map<string, string>();
  /** Deleted comments, so that nothing is counted twice. */
  const gone = new Set<string>();
  let recounting: ReturnType<typeof setTimeout> | undefined;
  const typing = createTyping(host, `post:${plainId(id)}`, (change) => topic.set({ typing: change(topic.get().typing) }));

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
    let isKnown = gone.has(comment.id);
    each(topic.get().comments, (one) => ((isKnown ||= one.id === comment.id), one));
    if (isKnown) return;
    const { parent } = comment;
    const more = { comments_count: comments_count + 1 };
    change(parent ? [parent] : [], (one) => ({ replies: [...(one.replies ?? []), comment], replies_count: one.replies_count + 1 }), more);
    if (!parent) topic.set({ comments: ordered([...topic.get().comments, comment]) });
  }

  function forget(ids: string[], comments_count: number) {
    const fresh = ids.filter((id) => !gone.has(id));
    const fewer = new Map<string, number>();
    let known = 0;
    const leave = (comment: Comment): Comment => {
      if (fresh.includes(comment.id)) {
        const { parent } = comment;
        known += 1;
        if (parent) fewer.set(parent, (fewer.get(parent) ?? 0) + 1);
        each([comment], (one) => (gone.add(one.id), one));
      }
      return comment;
    };
    each(topic.get().comments, leave);
    fresh.forEach((id) => gone.add(id));
    change(ids, () => null, { comments_count });
    change([...fewer.keys()], ({ id, replies_count }) => ({ replies_count: Math.max(0, replies_count - fewer.get(id)!) }));
    if (known < fresh.length) recounting ??= setTimeout(recount, RECOUNT_MS);
  }

  async function recount() {
    recounting = undefined;
    const counts = new Map<string, number>();
    let next: string | null = `${path}comments/`;
    try {
      for (let left = topic.get().comments.length; next && left > 0; ) {
        const { body }: { body: any } = await host.call('GET', next);
        left -= body.results.length || left;
        each(body.results, (one) => (counts.set(one.id, one.replies_count), one));
        next = pathOf(body.next);
      }
    } catch {
      // Whoever comes back reads all of it again.
    }
    change([...counts.keys()], ({ id }) => ({ replies_count: counts.get(id)! }));
  }

  const topic: Internal<PostState> = liveTopic<PostState>(
    host,
    `post:${plainId(id)}`,
    { post: (page?.post as Post) ?? null, comments: [], typing: [] },
    page && { ...page.comments, cursor: page.cursor ?? null },
    {
      async read() {
        // What happens between the two is in the second, and told once more behind the first one's place.
        const post = await host.call('GET', path);
        const comments = await host.call('GET', `${path}comments/`);
        return { page: comments.body, patch: { post: post.body }, cursor: post.cursor };
      },
      first: (comments) => ({ comments }),
      more: (later) => ({ comments: ordered(joined(topic.get().comments, later)) }),
      apply(event) {
        const { post } = topic.get();
        const { type, comment, comment_ids, comment_id, likes_count, shares_count } = event;
        const { comments_count: count = 0 } = post ?? {};
        if (type === 'post_deleted') topic.set({ post: null, comments: [] });
        else if (type === 'typing_status') typing.hear(event);
        else if (type === 'new_comment') {
          typing.stops(comment.user.id);
          add(comment, count);
        } else if (comment) {
          const { content, image, is_edited } = comment;
          change([comment.id], () => ({ content, image, is_edited }));
        } else if (comment_ids) forget(comment_ids, event.comments_count ?? count - 1);
        else if (comment_id) change([comment_id], () => ({ likes_count }));
        else if (type === 'post_shared') change([], () => null, { shares_count });
        else if (post && (event.post || event.reaction_data)) topic.set({ post: after(host, post, event) });
      },
    },
  );

  return {
    ...topic,
    react: (reaction) => reactTo(host, id, reaction, topic.get().post, (patch) => change([], () => null, patch)),
    async edit(fields) {
      const { body } = await host.call('PATCH', path, fields);
      topic.set({ post: body });
      return body;
    },
    async remove() {
      await host.call('DELETE', path);
      topic.set({ post: null, comments: [] });
    },
    setTyping: typing.set,
    async comment(content, parent) {
      typing.sent();
      const { body } = await host.call('POST', `${path}comments/`, { content, ...(parent && { parent }) });
      add(body, topic.get().post?.comments_count);
      return body;
    },
    async editComment(comment, content) {
      const { body } = await host.call('PATCH', pathTo(comment), { content });
      change([comment], () => ({ content: body.content, is_edited: body.is_edited }));
    },
    async removeComment(comment) {
      await host.call('DELETE', pathTo(comment));
      forget([comment], Math.max(0, (topic.get().post?.comments_count ?? 1) - 1));
    },
    async loadReplies(comment) {
      const { body } = await host.call('GET', pages.get(comment) ?? `${pathTo(comment)}replies/`);
      const next = pathOf(body.next);
      if (next) pages.set(comment, next);
      else pages.delete(comment);
      change([comment], (one) => {
        const replies = ordered(joined(one.replies ?? [], body.results));
        return { replies, ...(!next && { replies_count: replies.length }) };
      });
    },
    async like(comment, is_liked) {
      const show = (is_liked: boolean) =>
        change([comment], (one) => ({ is_liked, likes_count: Math.max(0, one.likes_count + (one.is_liked === is_liked ? 0 : is_liked ? 1 : -1)) }));
      show(is_liked);
      try {
        const { body } = await host.call(is_liked ? 'POST' : 'DELETE', `${pathTo(comment)}like/`);
        if (body.likes_count !== undefined) change([comment], () => ({ likes_count: body.likes_count }));
      } catch (error) {
        show(!is_liked);
        throw error;
      }
    },
  };
}
