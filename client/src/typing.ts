// Who is typing in a room or under a post, and telling that this user does.

import type { Host } from './client.js';
import type { Person } from './types.js';

/** Others stop seeing a person type who has said nothing of it for so long. */
const TYPING_SHOWN_MS = 6_000;
const TYPING_EVERY_MS = 2_500;

/** `show` replaces the list of those who are typing now, without the user. */
export function createTyping(host: Host, topic: string, show: (change: (typing: readonly Person[]) => Person[]) => void) {
  const typers = new Map<string, ReturnType<typeof setTimeout>>();
  let toldAt = 0;
  let quiet: ReturnType<typeof setTimeout> | undefined;

  function stops(user: string) {
    clearTimeout(typers.get(user));
    if (typers.delete(user)) show((typing) => typing.filter((person) => person.id !== user));
  }

  function set(isTyping: boolean) {
    clearTimeout(quiet);
    const now = Date.now();
    const tell = (is_typing: boolean) => host.up({ type: 'tell', frame: { type: 'typing', topic, is_typing } });
    if (isTyping) {
      quiet = setTimeout(() => set(false), TYPING_EVERY_MS);
      if (now - toldAt < TYPING_EVERY_MS) return;
      toldAt = now;
      tell(true);
    } else if (toldAt) {
      toldAt = 0;
      tell(false);
    }
  }

  return {
    /** A `typing_status`. */
    hear({ user_id: id, username, is_typing }: any) {
      stops(id);
      if (!is_typing || id === host.me?.id) return;
      typers.set(id, setTimeout(() => stops(id), TYPING_SHOWN_MS));
      show((typing) => [...typing, { id, username }]);
    },
    /** Somebody has sent what they typed. */
    stops,
    /** The user types, or does no more. */
    set,
    /** What the user typed is on its way, which says it all. */
    sent() {
      toldAt = 0;
      clearTimeout(quiet);
    },
  };
}
