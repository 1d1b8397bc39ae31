'use client';

import type { Page } from 'pregon';
import { useFeedWebSocket } from 'pregon/react';

export function Feed({ initial }: { initial: Page<object> }) {
  const { posts, publish, react, loadOlder, hasOlder } = useFeedWebSocket({ initial });
  return (
    <main>
      <form
        action={async (form) => {
          await publish({ content: String(form.get('content')) });
        }}
      >
        <input name="content" placeholder="What is new?" required />
        <button>Publish</button>
      </form>
      {posts.map((post) => (
        <article key={post.id}>
          <header>@{post.user.username}</header>
          <p>{post.content}</p>
          <button onClick={() => react(post.id, 'like')} aria-pressed={post.user_reaction === 'like'}>
            ♥ {String(post.likes_count)}
          </button>
        </article>
      ))}
      {hasOlder && <button onClick={loadOlder}>Older</button>}
    </main>
  );
}
