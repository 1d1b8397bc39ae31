import Link from 'next/link';
import { list } from '../../lib/pregon';

export default async function Page() {
  const { results } = await list('/api/messaging/chats/');
  return (
    <main>
      {results.map((room: { id: string; display_name: string; unread_count: number }) => (
        <p key={room.id}>
          <Link href={`/chat/${room.id}`}>{room.display_name}</Link> {room.unread_count > 0 && <b>{room.unread_count}</b>}
        </p>
      ))}
    </main>
  );
}
