// The older endpoints, a socket for each topic, as if they were one socket of `pregon.v1`: for servers that have only those.
//
// They take the token in the address, where proxies may log it. There is no other way in.

import { type Dial, type Ears, type Line, listen, openV1, socketUrl } from './line.js';
import type { ClientFrame, ServerFrame } from './protocol.js';
import { claims, dashedId } from './store.js';

type Dialled = ReturnType<typeof listen>;

const CARRIER = 'notifications';

/** Each user may have notifications, so their socket carries the line: it is opened first, and when it ends all is over. */
export function openPlain(base: string, dial: Dial, ears: Ears): Line {
  const { heard } = ears;
  const sockets = new Map<string, Dialled>();
  let token = typeof ears.credential === 'string' ? ears.credential : '';
  let isOver = false;

  const reply = (frame: object) => queueMicrotask(() => isOver || heard(frame as ServerFrame));

  function over(code: number, wasOpen: boolean) {
    close();
    ears.closed(code, wasOpen);
  }

  function close() {
    isOver = true;
    for (const socket of sockets.values()) socket.close();
    sockets.clear();
  }

  /** Older endpoints answer. So does a server of `pregon.v1` that was away before: it is asked once more. */
  function check() {
    if (!ears.isGuess) return ears.opened();
    const probe: Line = openV1(base, dial, {
      ...ears,
      opened: () => {
        probe.close();
        if (!isOver) over(1012, false);
      },
      closed: () => isOver || ears.opened(),
    });
  }

  function address(topic: string): string {
    const [kind, id] = topic.split(':') as [string, string?];
    const path = kind === 'room' ? `chat/${dashedId(id!)}` : id ? `${kind}/${dashedId(id)}` : kind;
    return `${socketUrl(base, '/ws/')}${path}/?token=${encodeURIComponent(token)}`;
  }

  function hear(topic: string, frame: any) {
    const type = String(frame.type);
    if (type === 'pong' || type === 'notice') return reply({ ...frame, topic });
    if (type.startsWith('connection_') || type === 'error') return;
    heard({ type: 'event', topic, event: modern(frame) } as unknown as ServerFrame);
  }

  /** Without a place: what was missed before is not known, and the list is read again. */
  const live = (id: unknown, topic: string) => reply({ type: 'subscribed', id, topic, cursor: null, resumed: false });

  function subscribe({ id, topic }: ClientFrame & { type: 'subscribe' }) {
    if (topic === CARRIER) return live(id, topic);
    let refusal = '';
    const socket = listen(dial(address(topic)), {
      opened: () => topic.startsWith('room:') || live(id, topic),
      heard(frame) {
        if (frame.type === 'error') refusal = frame.message ?? frame.error ?? '';
        // Rooms open before they decide.
        if (frame.type === 'connection_success') live(id, topic);
        hear(topic, frame);
      },
      closed(code) {
        sockets.delete(topic);
        if (code === 4001 || refusal.startsWith('Token')) return over(4001, true);
        const isFinal = code === 1000 || code === 4003;
        reply({ type: 'unsubscribed', topic, code: String(code), text: refusal, retry: isFinal ? 'never' : 'later' });
      },
    });
    sockets.set(topic, socket);
  }

  /** Sends a message by REST: an older server may store what comes by a socket, and say nothing of it to anybody. */
  async function say({ id, topic, client_id, content, message_type, reply_to }: ClientFrame & { type: 'chat_message' }) {
    try {
      const answer = await rest(topic, 'send_message/', { client_id, content, message_type, ...(reply_to && { reply_to }) });
      const body = await answer.json();
      if (answer.ok) {
        // Others hear it by their sockets, and this one perhaps, too.
        hear(topic, { type: 'chat_message', message: body, client_id });
        return reply({ type: 'ack', id, client_id, message_id: body.id, repeated: false, durability: 'stored' });
      }
      const text = body.detail ?? body.error ?? Object.values(body).flat()[0];
      const retry = answer.status > 499 || answer.status === 429 || answer.status === 401 ? 'later' : 'fix';
      reply({ type: 'error', id, topic, code: String(answer.status), text, retry });
    } catch {
      reply({ type: 'error', id, topic, code: 'offline', text: '', retry: 'later' });
    }
  }

  function rest(topic: string, path: string, body?: object) {
    return fetch(`${base}/api/messaging/chats/${dashedId(topic.slice(5))}/${path}`, {
      method: body ? 'POST' : 'GET',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
  }

  function send(frame: ClientFrame) {
    const { type, id } = frame;
    switch (type) {
      case 'auth': {
        token = frame.token ?? '';
        const { user_id = '', exp = 0 } = claims(token);
        return reply({ type: 'welcome', id, token_expires: exp, topics_max: 256, user: { id: user_id, username: '' } });
      }
      case 'subscribe':
        return subscribe(frame);
      case 'unsubscribe':
        if (frame.topic !== CARRIER) sockets.get(frame.topic)?.close();
        return reply({ type: 'unsubscribed', id, topic: frame.topic });
      case 'chat_message':
        return void say(frame);
      case 'unread':
        rest(frame.topic, '')
          .then((answer) => answer.json())
          .then(({ unread_count: count }) => reply({ type: 'unread', id, topic: frame.topic, count, more: false, last_read_at: 0 }))
          .catch(() => {});
        return;
      case 'ping':
        return sockets.get(CARRIER)?.send(frame);
      case 'mark_read':
      case 'room_info':
      case 'roster':
      case 'readers':
        return reply({ type: 'error', id, code: 'unknown_type', text: 'This server does not answer it.', retry: 'never' });
      default: {
        // They answer by telling everybody, if at all.
        const { id: _, topic, ...rest } = frame;
        sockets.get(topic)?.send(rest);
        if (id) reply({ type: 'ack', id, repeated: false, durability: 'stored' });
      }
    }
  }

  sockets.set(CARRIER, listen(dial(address(CARRIER)), { opened: check, heard: (frame) => hear(CARRIER, frame), closed: over }));
  return { protocol: 'plain', send, close };
}

/** A frame of the older sockets, in the words of `pregon.v1`. */
function modern(frame: any): any {
  const { type, user_id, username, message_id, notification_id } = frame;
  const user = { id: user_id, username };
  switch (type) {
    case 'chat_message':
      return { ...frame, type: 'message' };
    case 'message_read':
      return { type, user, message_ids: [message_id] };
    case 'message_reaction':
      return { ...frame, user };
    case 'notification_read':
      return { type: 'notifications_read', notification_ids: [notification_id] };
    case 'notification_deleted':
      return { ...frame, type: 'notifications_deleted', notification_ids: [notification_id] };
    case 'comment_deleted':
      return { type: 'comments_deleted', comment_ids: [frame.comment_id] };
    default:
      return frame;
  }
}
