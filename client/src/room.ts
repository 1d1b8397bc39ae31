// A chat room: its messages in order, those that are on their way, who is typing, who is there, and who has read what.

import type { Client, Host } from './client.js';
import { blank, person } from './decode.js';
import { dashedId, plainId, unique } from './store.js';
import { liveTopic, type LiveTopic } from './topic.js';
import type { Live, Message, Page, Person } from './types.js';
import { createTyping } from './typing.js';
import type { Down, Unsent } from './wire.js';

export interface RoomState extends Live {
  /** The oldest first; those that are not stored yet at the end. */
  messages: readonly Message[];
  /** Who is typing now, without the user. */
  typing: readonly Person[];
  /** Who is there. Large rooms only say how many. */
  presence: { users: readonly Person[]; count: number };
  /** By message: who was seen to read it. `loadReaders` asks for all. */
  readers: Readonly<Record<string, readonly Person[]>>;
  /** Grows when the room has another name, description or picture, or other roles: read it again over REST. */
  changes: number;
  /** Messages of others that the user has not read. */
  unread: number;
}

export interface Room extends LiveTopic<RoomState> {
  /** Shows a message at once and sends it as soon as it can be. The result is its `client_id`. */
  send(content: string, options?: { replyTo?: string | null; type?: string }): string;
  edit(id: string, content: string): Promise<void>;
  /** Deletes a message, or gives one up that was not sent. */
  remove(id: string): Promise<void>;
  /** A reaction comes, or goes if it is there. */
  react(id: string, reaction: string): Promise<void>;
  /** Call it with each key; others are told every few seconds at most. */
  setTyping(isTyping: boolean): void;
  /** The user has seen a message, and all before it; the newest one if none is named. */
  markRead(id?: string): void;
  loadReaders(id: string): Promise<void>;
  /** Sends again what has failed: one message, or all of this room. */
  retry(client_id?: string): void;
}

/** Who is there is told anew after each connection; until then those from before stay. */
const PRESENCE_MS = 1_500;
/** Clocks of people and servers differ. */
const SKEW_MS = 300_000;
const GONE_MAX = 1_000;

/** Times of one server are texts of one form; what has the same time is in the order of ids. */
const keyOf = ({ created_at, id }: Message) => `${created_at} ${id}`;
const isBefore = (a: Message, b: Message) => keyOf(a) < keyOf(b);
const sorted = (messages: Message[]) => messages.sort((a, b) => (isBefore(a, b) ? -1 : 1));

/** A room's store: the same one for the same room. `page` is what a server component has read, and counts for a store that is new. */
export const room = (client: Client, id: string, page?: Page<object>): Room =>
  (client as Host).store(`room:${plainId(id)}`, (host) => createRoom(host, id, page));

function createRoom(host: Host, id: string, page?: Page<object>): Room {
  const name = `room:${plainId(id)}`;
  const path = `/api/messaging/chats/${dashedId(id)}/messages/`;
  let stored: Message[] = [];
  /** As what it shows that is on its way, by `client_id`. */
  const views = new Map<string, Message>();
  /** Stored, by the hub's word; the event may still come. */
  let sent: Message[] = [];
  const gone = new Set<string>();
  let present = new Set<string>();
  const typing = createTyping(host, name, (change) => topic.set({ typing: change(topic.get().typing) }));

  const isMine = (person: Person) => person.id === host.me?.id;

  function first(results: object[]) {
    stored = sorted(results.map(blank));
    gone.clear();
    for (const one of waiting()) {
      const isTwin = ({ sender, content, client_id, created_at }: Message) =>
        !client_id && isMine(sender) && content === one.content && Date.parse(created_at) > one.at - SKEW_MS;
      const twin = one.tried && stored.find(isTwin);
      if (twin) twin.client_id = one.client_id;
    }
    return { messages: shown() };
  }

  const waiting = () => [...host.waiting.values()].filter((one) => one.topic === name);

  function view({ client_id, content, message_type, reply_to, at, error }: Unsent): Message {
    const known = views.get(client_id);
    // That it was sent once does not show.
    if (known && known.error === error) return known;
    const message = blank({
      id: client_id,
      client_id,
      sender: host.me ?? { id: '', username: '' },
      content,
      message_type,
      reply_to: stored.find(({ id }) => id === reply_to) ?? null,
      created_at: new Date(at).toISOString(),
      state: error ? 'failed' : 'sending',
      error,
    });
    views.set(client_id, message);
    return message;
  }

  /** Is it neither shown nor deleted? What is stored is on its way no more, whatever the hub says of it. */
  const isNew = ({ id, client_id }: Message) => !gone.has(id) && !stored.some((one) => one.id === id || (client_id && one.client_id === client_id));

  function shown(): Message[] {
    sent = sent.filter(isNew);
    return [...stored, ...sent, ...waiting().map(view).filter(isNew)];
  }

  /** Nobody is told of what does not show. */
  function show() {
    const [before, messages] = [topic.get().messages, shown()];
    if (messages.length !== before.length || messages.some((message, at) => message !== before[at])) topic.set({ messages });
  }

  /** One that is known is as its other events have made it. One that is older than all comes with its page. */
  function insert(message: Message) {
    const isOlder = topic.get().hasOlder && stored[0] && isBefore(message, stored[0]);
    if (isOlder || !isNew(message)) return;
    stored = stored.toSpliced(stored.findLastIndex((one) => isBefore(one, message)) + 1, 0, message);
  }

  function change(ids: string[], patch: (message: Message) => Partial<Message>) {
    stored = stored.map((message) => (ids.includes(message.id) ? { ...message, ...patch(message) } : message));
    show();
  }

  function showPresence(users: readonly Person[]) {
    topic.set({ presence: { users, count: users.length } });
  }

  function askUnread() {
    host.ask({ type: 'unread', topic: name }).then(({ count }) => topic.set({ unread: count }), () => {});
  }

  function apply(event: any) {
    const { user, message_ids: ids, message_id: one } = event;
    switch (event.type) {
      case 'message': {
        const message = blank({ ...event.message, ...(event.client_id && { client_id: event.client_id }) });
        insert(message);
        typing.stops(message.sender.id);
        if (!isMine(message.sender)) topic.set({ unread: topic.get().unread + 1 });
        return show();
      }
      case 'message_edited': {
        const { id, content, is_edited } = event.message;
        return change([id], () => ({ content, is_edited }));
      }
      case 'message_deleted':
        if (gone.size > GONE_MAX) gone.clear();
        gone.add(one);
        [sent, stored] = [sent, stored].map((list) =>
          list.flatMap((message) => {
            const { id, reply_to } = message;
            if (reply_to?.id === one) return { ...message, reply_to: { ...reply_to!, content: '', is_deleted: true } };
            return id === one ? [] : message;
          }),
        ) as [Message[], Message[]];
        return show();
      case 'room_changed':
        return topic.set({ changes: topic.get().changes + 1 });
      case 'message_read': {
        if (isMine(user)) {
          change(ids, () => ({ is_read: true }));
          return askUnread();
        }
        const readers = { ...topic.get().readers };
        const isNew = (id: string) => !readers[id]?.some((reader) => reader.id === user.id);
        const fresh = (ids as string[]).filter(isNew);
        for (const id of fresh) readers[id] = [...(readers[id] ?? []), user];
        topic.set({ readers });
        return change(fresh, ({ read_by_count }) => ({ read_by_count: read_by_count + 1 }));
      }
      case 'message_reaction':
        return change([one], (message) => reacted(message, event, isMine(user)));
      case 'typing_status':
        return typing.hear(event);
      case 'user_status': {
        const { user_id, username, status } = event;
        const users = topic.get().presence.users.filter((person) => person.id !== user_id);
        present.delete(user_id);
        if (status === 'online') {
          present.add(user_id);
          users.push({ id: user_id, username });
        }
        return showPresence(users);
      }
      case 'presence_count':
        return topic.set({ presence: { users: [], count: event.present } });
    }
  }

  function down(message?: Down) {
    if (message?.type === 'done') {
      const { client_id, id } = message;
      const one = views.get(client_id);
      views.delete(client_id);
      if (one && id) sent.push({ ...one, id, state: 'sent' });
    }
    show();
  }

  const topic = liveTopic<RoomState>(
    host,
    name,
    {
      messages: [],
      typing: [],
      presence: { users: [], count: 0 },
      readers: {},
      changes: 0,
      unread: 0,
    },
    page,
    {
      async read() {
        const { body, cursor } = await host.call('GET', path);
        return { page: body, cursor };
      },
      first,
      more(older) {
        stored = sorted([...older.map(blank).filter(isNew), ...stored]);
        return { messages: shown() };
      },
      apply,
      down,
      subscribed() {
        askUnread();
        present = new Set();
        setTimeout(() => showPresence(topic.get().presence.users.filter((person) => present.has(person.id))), PRESENCE_MS);
      },
    },
  );

  return {
    ...topic,
    send(content, { replyTo = null, type = 'text' } = {}) {
      const client_id = unique();
      // The order in which it is sent, and found again by another tab.
      const at = Math.max(Date.now(), ...waiting().map((one) => one.at + 1));
      const unsent = { client_id, topic: name, content, message_type: type, reply_to: replyTo, at };
      host.up({ type: 'unsent', topic: name, unsent });
      typing.sent();
      show();
      return client_id;
    },
    edit: (message_id, content) => host.ask({ type: 'edit_message', topic: name, message_id, content }),
    async remove(message_id) {
      if (!host.waiting.has(message_id)) return host.ask({ type: 'delete_message', topic: name, message_id });
      host.up({ type: 'done', topic: name, client_id: message_id });
      show();
    },
    react: (message_id, reaction_type) => host.ask({ type: 'react_message', topic: name, message_id, reaction_type }),
    setTyping: typing.set,
    markRead(id) {
      const newest = stored.findLast((message) => !isMine(message.sender))?.id;
      const [message_id, { unread }] = [id ?? newest, topic.get()];
      if (!message_id || !unread) return;
      topic.set({ unread: 0 });
      // One by itself is told as such. Several are told at once, so that their senders see of each that it was read.
      const isAll = unread > 1 && message_id === newest;
      const told = isAll ? host.call('POST', path.replace('messages', 'mark_as_read')) : host.ask({ type: 'read_message', topic: name, message_id });
      told.catch(askUnread);
    },
    async loadReaders(message_id) {
      const { readers } = await host.ask({ type: 'readers', topic: name, message_id, limit: 200 });
      topic.set({ readers: { ...topic.get().readers, [message_id]: readers.map(person) } });
    },
    retry: (client_id) => host.up({ type: 'again', topic: name, client_id }),
  };
}

/** A message lists only its newest reactions; all are in the counts. */
function reacted(message: Message, { user, reaction_type, added }: any, isMine: boolean): Partial<Message> {
  const others = message.reactions.filter((one) => one.user.id !== user.id || one.reaction_type !== reaction_type);
  const wasListed = others.length < message.reactions.length;
  const { [reaction_type]: count = 0, ...counts } = message.reaction_counts;
  const now = Math.max(0, count + (added ? (wasListed ? 0 : 1) : -1));
  const reactions = added ? [...others, { user, reaction_type }] : others;
  const mine = added ? reaction_type : message.user_reaction === reaction_type ? null : message.user_reaction;
  return {
    reactions,
    reaction_counts: now ? { ...counts, [reaction_type]: now } : counts,
    ...(isMine && { user_reaction: mine }),
  };
}
