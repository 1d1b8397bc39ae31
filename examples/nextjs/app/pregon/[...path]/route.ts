import { type NextRequest } from 'next/server';
import { call } from '../../../lib/pregon';

/** Passes REST on, with the user's token from the cookie. */
async function pass(request: NextRequest) {
  const { pathname, search } = request.nextUrl;
  const path = pathname.replace('/pregon', '').replace(/\/*$/, '/');
  if (!path.startsWith('/api/')) return new Response(null, { status: 404 });
  const headers = new Headers();
  for (const name of ['content-type', 'if-none-match']) {
    const value = request.headers.get(name);
    if (value) headers.set(name, value);
  }
  const body = request.method === 'GET' ? undefined : await request.arrayBuffer();
  const answer = await call(path + search, { method: request.method, headers, body });
  const kept = new Headers();
  for (const name of ['content-type', 'etag', 'x-pregon-cursor']) {
    const value = answer.headers.get(name);
    if (value) kept.set(name, value);
  }
  return new Response(answer.body, { status: answer.status, headers: kept });
}

export { pass as DELETE, pass as GET, pass as PATCH, pass as POST };
