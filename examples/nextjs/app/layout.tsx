import type { ReactNode } from 'react';
import { me, PREGON } from '../lib/pregon';
import { Live } from './live';
import './style.css';

export const metadata = { title: 'pregon' };

export default async function Layout({ children }: { children: ReactNode }) {
  const user = await me();
  return (
    <html lang="en">
      <body>{user ? <Live user={user} url={process.env.PREGON_PUBLIC_URL ?? PREGON}>{children}</Live> : children}</body>
    </html>
  );
}
