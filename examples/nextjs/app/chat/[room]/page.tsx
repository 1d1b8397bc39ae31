import { list } from '../../../lib/pregon';
import { Chat } from './chat';

export default async function Page({ params }: { params: Promise<{ room: string }> }) {
  const { room } = await params;
  return <Chat room={room} initial={await list(`/api/messaging/chats/${room}/messages/`)} />;
}
