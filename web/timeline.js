// The messages of one room in order, and what each frame changes about them; touches neither network nor page.

export class Timeline {
  constructor(myId) {
    this.myId = myId;
    this.byId = new Map();
    this.sorted = [];
  }

  get(id) {
    return this.byId.get(id);
  }

  list() {
    return this.sorted;
  }

  /** How many of the server's messages are here; deleted ones no longer count there. */
  get storedCount() {
    return this.sorted.filter((message) => !message.is_deleted).length;
  }

  clear() {
    this.byId.clear();
    this.sorted = [];
  }

  /** Takes messages in any order; true if at least one was known before. */
  merge(messages) {
    let overlap = false;
    for (const message of messages) {
      const known = this.byId.get(message.id);
      if (known) {
        overlap = true;
        this.replace(known, message);
      } else {
        this.byId.set(message.id, { ...message, at: Date.parse(message.created_at), readers: new Set(), revision: 0 });
      }
    }
    this.sorted = [...this.byId.values()].sort(byTime);
    return overlap;
  }

  /** Applies a frame; returns the message it changed, or null. */
  apply(frame) {
    switch (frame.type) {
      case 'chat_message':
        this.merge([unseen(frame.message)]);
        return this.byId.get(frame.message.id);
      case 'message_edited':
        return this.change(frame.message.id, (message) => this.replace(message, unseen(frame.message)));
      case 'message_deleted':
        return this.change(frame.message_id, (message) => {
          message.is_deleted = true;
          message.content = '';
        });
      case 'message_read':
        return this.change(frame.message_id, (message) => read(message, frame.user_id, this.myId));
      case 'message_reaction':
        return this.change(frame.message_id, (message) => react(message, frame, this.myId));
      default:
        return null;
    }
  }

  change(id, edit) {
    const message = this.byId.get(id);
    if (!message) return null;
    edit(message);
    message.revision += 1;
    return message;
  }

  /** Frames are made for no viewer in particular, so `is_read` never goes back, nor does the readers' count. */
  replace(known, message) {
    Object.assign(known, message, {
      is_read: known.is_read || message.is_read,
      is_deleted: known.is_deleted || message.is_deleted,
      read_by_count: Math.max(known.read_by_count, message.read_by_count),
    });
    known.revision += 1;
  }

  lastOwn() {
    return this.sorted.findLast(
      (message) => message.sender.id === this.myId && !message.is_deleted && message.message_type === 'text',
    );
  }
}

function byTime(a, b) {
  return a.at - b.at || (a.created_at < b.created_at ? -1 : a.created_at > b.created_at ? 1 : a.id < b.id ? -1 : 1);
}

function read(message, userId, myId) {
  if (userId === myId) {
    message.is_read = true;
  } else if (!message.readers.has(userId)) {
    message.readers.add(userId);
    message.read_by_count += 1;
  }
}

/** A frame has no viewer: what it says of the viewer's own reaction is nothing. */
function unseen({ user_reaction: _, ...message }) {
  return message;
}

/** Of many reactions the message lists the newest alone: those that it does not list are in the counts. */
function react(message, { user_id, username, reaction_type, added }, myId) {
  const others = message.reactions.filter((one) => one.user.id !== user_id || one.reaction_type !== reaction_type);
  const wasListed = others.length < message.reactions.length;
  const count = message.reaction_counts[reaction_type] ?? 0;
  const listed = message.reactions.filter((one) => one.reaction_type === reaction_type).length;
  if (added && !wasListed) setCount(message, reaction_type, count + 1);
  if (!added && (wasListed || count > listed)) setCount(message, reaction_type, count - 1);
  message.reactions = added ? [...others, { user: { id: user_id, username }, reaction_type }] : others;
  if (user_id !== myId) return;
  if (added) message.user_reaction = reaction_type;
  else if (message.user_reaction === reaction_type) message.user_reaction = null;
}

function setCount(message, type, count) {
  const { [type]: _, ...others } = message.reaction_counts;
  message.reaction_counts = count > 0 ? { ...others, [type]: count } : others;
}

/** The types of the viewer's reactions, as far as they are known. */
export function ownReactions(message, myId) {
  const listed = message.reactions.filter((one) => one.user.id === myId).map((one) => one.reaction_type);
  return new Set(message.user_reaction ? [...listed, message.user_reaction] : listed);
}

/** Reactions by type, in the order they first appear: `[{ type, count, mine, names }]`; of many not all have names. */
export function countReactions(message, myId) {
  const mine = ownReactions(message, myId);
  const types = new Set([...message.reactions.map((one) => one.reaction_type), ...Object.keys(message.reaction_counts)]);
  return [...types].map((type) => {
    const listed = message.reactions.filter((one) => one.reaction_type === type);
    const names = listed.map(({ user }) => user.display_name ?? user.username);
    return { type, count: Math.max(message.reaction_counts[type] ?? 0, names.length), mine: mine.has(type), names };
  });
}
