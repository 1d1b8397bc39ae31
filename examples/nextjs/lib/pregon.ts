// Requests to pregon from this server, in the name of whoever is logged in. Their tokens stay in cookies that no script can read.

import { cookies } from 'next/headers';
import { redirect } from 'next/navigation';

export const PREGON = process.env.PREGON_URL ?? 'http://127.0.0.1:8000';

/** A request as the user; a token that is over is renewed where cookies may be set. */
export async function call(path: string, init: RequestInit = {}): Promise<Response> {
  const jar = await cookies();
  const send = (token: string | undefined) => {
    const headers = new Headers(init.headers);
    if (token) headers.set('authorization', `Bearer ${token}`);
    return fetch(PREGON + path, { ...init, headers, cache: 'no-store' });
  };
  const answer = await send(jar.get('access')?.value);
  const refresh = jar.get('refresh')?.value;
  if (answer.status !== 401 || !refresh) return answer;
  const renewed = await post('/api/auth/refresh/', { refresh });
  if (!renewed.ok) return answer;
  const tokens = await renewed.json();
  await remember(tokens).catch(() => {});
  return send(tokens.access);
}

export const post = (path: string, body: object) =>
  fetch(PREGON + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body), cache: 'no-store' });

export async function remember({ access, refresh }: { access: string; refresh: string }) {
  const jar = await cookies();
  const options = { httpOnly: true, sameSite: 'lax', path: '/', maxAge: 30 * 24 * 3600, secure: process.env.NODE_ENV === 'production' } as const;
  jar.set('access', access, options);
  jar.set('refresh', refresh, options);
}

/** A list for a page to be rendered, with the place and the tag from which its hooks go live. */
export async function list(path: string) {
  const answer = await call(path);
  if (answer.status === 401) redirect('/login');
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  const { results, next } = await answer.json();
  return { results, next, cursor: answer.headers.get('x-pregon-cursor'), etag: answer.headers.get('etag') };
}

/** Who is logged in. */
export async function me(): Promise<{ id: string; username: string } | null> {
  const answer = await call('/api/auth/profile/');
  return answer.ok ? answer.json() : null;
}
