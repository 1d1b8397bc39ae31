import { redirect } from 'next/navigation';
import { post, remember } from '../../lib/pregon';

async function login(form: FormData) {
  'use server';
  const answer = await post('/api/auth/login/', { login: form.get('login'), password: form.get('password') });
  if (!answer.ok) redirect('/login?failed=1');
  await remember(await answer.json());
  redirect('/');
}

export default async function Page({ searchParams }: { searchParams: Promise<{ failed?: string }> }) {
  const { failed } = await searchParams;
  return (
    <main>
      <form action={login}>
        <input name="login" placeholder="username" autoComplete="username" required />
        <input name="password" type="password" placeholder="password" autoComplete="current-password" required />
        <button>Log in</button>
        {failed && <p role="alert">That did not work.</p>}
      </form>
    </main>
  );
}
