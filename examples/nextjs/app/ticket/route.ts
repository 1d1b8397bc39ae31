import { call } from '../../lib/pregon';

/** A ticket for the socket of whoever is logged in. */
export async function POST() {
  const answer = await call('/api/auth/ticket/', { method: 'POST' });
  return answer.ok ? Response.json({ ticket: (await answer.json()).ticket }) : new Response(null, { status: 401 });
}
