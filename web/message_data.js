// What a message's data say: its reactions, and which rendering of it is current.

const revisions = new WeakMap();
let count = 0;

/** A number that changes with the message: messages are replaced and never changed. */
export function revision(message) {
  if (!revisions.has(message)) revisions.set(message, (count += 1));
  return revisions.get(message);
}

export const sentAt = (message) => Date.parse(message.created_at);

/** The types of the viewer's reactions, as far as they are known. */
export function ownReactions(message, myId) {
  const listed = message.reactions.filter((one) => one.user.id === myId).map((one) => one.reaction_type);
  return new Set(message.user_reaction ? [...listed, message.user_reaction] : listed);
}

/**
 * Reactions by type, in the order in which they first appear: `[{ type, count, mine, names }]`. If there are many, not
 * all have names.
 */
export function countReactions(message, myId) {
  const mine = ownReactions(message, myId);
  const types = new Set([...message.reactions.map((one) => one.reaction_type), ...Object.keys(message.reaction_counts)]);
  return [...types].map((type) => {
    const listed = message.reactions.filter((one) => one.reaction_type === type);
    const names = listed.map(({ user }) => user.display_name ?? user.username);
    return { type, count: Math.max(message.reaction_counts[type] ?? 0, names.length), mine: mine.has(type), names };
  });
}
