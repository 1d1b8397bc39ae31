// Events as topics take them: users by what they are called and not by number, times as REST writes them.

import type { Message, Person } from './types.js';

/** Microseconds since 1970 as REST writes them. */
const timeOf = (at: number): string =>
  new Date(at / 1000).toISOString().replace('Z', `${at % 1000}Z`.padStart(4, '0'));

export const person = ({ avatar, ...user }: any): Person => ({ ...user, display_name: user.display_name ?? user.username, avatar_url: avatar ?? null });

/** A message that nobody has reacted to or read, with what is usual where nothing is said. */
export const blank = (message: object): Message => ({
  ...({
    message_type: 'text',
    reply_to: null,
    is_edited: false,
    reactions: [],
    reaction_counts: {},
    user_reaction: null,
    is_read: false,
    read_by_count: 0,
    state: 'sent',
  } as unknown as Message),
  ...message,
});

/** An event of `pregon.v1`; `named` knows the topic's users by their numbers. */
export function decode(event: any, named: (n: number) => Person | undefined): any {
  // The older endpoints tell it as it is shown.
  if (event.message) return event;
  const user = typeof event.user === 'number' ? (named(event.user) ?? {}) : event.user;
  const { type, user: _, at, reply_to, client_id, ...rest } = event;
  if (type !== 'message' && type !== 'message_edited') return user ? { ...event, user } : event;
  const message = blank({ ...rest, sender: user, created_at: timeOf(at) });
  if (reply_to) message.reply_to = { ...reply_to, sender: { username: reply_to.username } };
  return { type, client_id, message };
}
