// The page of the browser tests: a room on the hooks of the built package, under StrictMode. `start` is told what to do.

import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { createClient, notifications, room } from '../../dist/index.js';
import { ConnectionIndicator, PregonProvider, useChatWebSocket } from '../../dist/react/index.js';

interface Settings {
  url: string;
  user: string;
  room: string;
  tokens: string;
  worker?: boolean;
  options?: object;
}

const asked: string[] = [];

function Chat({ id }: { id: string }) {
  const { messages, status, presence, unread } = useChatWebSocket(id);
  return (
    <main>
      <output id="status">{status}</output>
      <output id="presence">{presence.users.map((user) => user.username).join(' ')}</output>
      <output id="unread">{unread}</output>
      <ol>{messages.map((message) => <li key={message.id} data-state={message.state}>{message.content}</li>)}</ol>
    </main>
  );
}

function start({ url, user, room: id, tokens, worker, options }: Settings) {
  const client = createClient({
    url,
    user,
    async getToken({ reason }) {
      asked.push(reason);
      const answer = await fetch(`${tokens}?reason=${reason}&user=${user}`);
      return (await answer.text()) || null;
    },
    ...(worker && { worker: () => new SharedWorker('/worker.js', { type: 'module' }) }),
    ...options,
  });
  Object.assign(window, { client, chat: room(client, id), bell: notifications(client), asked });
  createRoot(document.getElementById('root')!).render(
    <StrictMode>
      <PregonProvider client={client}>
        <ConnectionIndicator />
        <Chat id={id} />
      </PregonProvider>
    </StrictMode>,
  );
}

Object.assign(window, { start });
