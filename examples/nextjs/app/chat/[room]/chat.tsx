'use client';

import { useEffect } from 'react';
import type { Page } from 'pregon';
import { errorText, useChatWebSocket, useClient } from 'pregon/react';

export function Chat({ room, initial }: { room: string; initial: Page<object> }) {
  const chat = useChatWebSocket(room, { initial });
  const { messages, typing, presence, unread, hasOlder } = chat;
  const { me } = useClient();

  useEffect(() => chat.markRead?.(), [unread]);

  return (
    <main>
      <p>{presence.count ? `here: ${presence.users.map((user) => user.username).join(', ')}` : 'nobody else is here'}</p>
      {hasOlder && <button onClick={chat.loadOlder}>Older</button>}
      <ol>
        {messages.map((message) => (
          <li key={message.client_id ?? message.id} data-mine={message.sender.id === me?.id} data-state={message.state}>
            <b>{message.sender.username}</b> {message.content}
            {message.is_edited && ' (edited)'}
            {message.read_by_count > 0 && ' ✓✓'}
            {Object.entries(message.reaction_counts).map(([type, count]) => ` ${type} ${count}`)}
            {message.state === 'sent' && <button onClick={() => chat.react(message.id, 'like')}>♥</button>}
            {message.error && (
              <span role="alert">
                {errorText(message.error, 'en')} <button onClick={() => chat.retry(message.id)}>Send again</button>
              </span>
            )}
          </li>
        ))}
      </ol>
      <p aria-live="polite">{typing.length > 0 && `${typing.map((person) => person.username).join(', ')} …`}</p>
      <form
        action={(form) => {
          const content = String(form.get('content')).trim();
          if (content) chat.send(content);
        }}
      >
        <input name="content" placeholder="Message" autoComplete="off" onInput={() => chat.setTyping(true)} />
        <button>Send</button>
      </form>
    </main>
  );
}
