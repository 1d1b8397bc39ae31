'use client';

import Link from 'next/link';
import type { ReactNode } from 'react';
import { ConnectionIndicator, PregonProvider, Toasts } from 'pregon/react';

/** A ticket opens one socket. Nothing that a script could steal opens anything else. */
const getToken = async () => {
  const answer = await fetch('/ticket', { method: 'POST' });
  return answer.ok ? answer.json() : null;
};

export function Live({ user, url, children }: { user: { id: string; username: string }; url: string; children: ReactNode }) {
  /** REST goes by this server, which knows the token. */
  const viaServer: typeof fetch = (path, init) => fetch(String(path).replace(url, '/pregon'), init);
  return (
    <PregonProvider url={url} user={user.id} getToken={getToken} fetch={viaServer} lang="en">
      <nav>
        <Link href="/">Feed</Link>
        <Link href="/chat">Messages</Link>
        <span>@{user.username}</span>
        <ConnectionIndicator />
      </nav>
      {children}
      <Toasts />
    </PregonProvider>
  );
}
