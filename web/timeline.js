// The messages of one room in order, and the changes that frames make to them; uses neither network nor page.

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

  clear() {
    this.byId.clear();
    this.sorted = [];
  }

  /** Takes messages in any order. */
  merge(messages) {
    for (const message of messages) {
      const known = this.byId.get(message.id);
      if (known) this.replace(known, message);
      else this.byId.set(message.id, { ...message, at: Date.parse(message.created_at), readers: new Set(), revision: 0 });
    }
    this.sorted = [...this.byId.values()].sort(byTime);
  }

  // ── After an absence ──────────────────────────────────────────────────────────────────────────

  get hasDoubt() {
    return this.sorted.some((message) => message.inDoubt);
  }

  /**
   * Changes made meanwhile were sent to nobody, so edits, reactions and deletions of all messages here are in doubt.
   */
  doubt() {
    for (const message of this.sorted) message.inDoubt = true;
  }

  /**
   * Takes one page of the history. A message in doubt that lies within the page's range but is not on it was deleted.
   */
  mergePage({ results, next }, isNewest) {
    this.merge(results);
    const ids = new Set(results.map((message) => message.id));
    const places = results.map((message) => this.sorted.indexOf(this.byId.get(message.id)));
    const from = next === null ? 0 : Math.min(...places);
    const to = isNewest ? this.sorted.length - 1 : Math.max(...places);
    for (const message of this.sorted.slice(from, to + 1)) {
      if (ids.has(message.id)) message.inDoubt = false;
      else if (message.inDoubt) this.remove(message.id);
    }
  }

  /** The newest message in doubt between two messages, including these. */
  inDoubt(oldestId, newestId) {
    const from = this.sorted.indexOf(this.byId.get(oldestId));
    const to = this.sorted.indexOf(this.byId.get(newestId));
    return from < 0 ? undefined : this.sorted.slice(from, to + 1).findLast((message) => message.inDoubt);
  }

  /** The number of newer messages here. */
  newerThan(message) {
    return this.sorted.length - 1 - this.sorted.indexOf(message);
  }

  // ── Changes by frames ─────────────────────────────────────────────────────────────────────────

  /** Applies a frame; true if it changed anything here. */
  apply(frame) {
    switch (frame.type) {
      case 'chat_message':
        this.merge([unseen(frame.message)]);
        this.byId.get(frame.message.id).inDoubt = false;
        return true;
      case 'message_edited':
        return this.change(frame.message.id, (message) => this.replace(message, unseen(frame.message)));
      case 'message_deleted':
        return this.remove(frame.message_id);
      case 'message_read':
        return this.change(frame.message_id, (message) => read(message, frame.user_id, this.myId));
      case 'message_reaction':
        return this.change(frame.message_id, (message) => react(message, frame, this.myId));
      default:
        return false;
    }
  }

  change(id, edit) {
    const message = this.byId.get(id);
    if (!message) return false;
    edit(message);
    message.revision += 1;
    return true;
  }

  /** The server lists no deleted messages, so they are not kept here either; replies to one say that it was deleted. */
  remove(id) {
    let isChanged = this.byId.delete(id);
    if (isChanged) this.sorted = this.sorted.filter((message) => message.id !== id);
    for (const message of this.sorted) {
      if (message.reply_to?.id !== id || message.reply_to.is_deleted) continue;
      message.reply_to = { ...message.reply_to, content: '', is_deleted: true };
      message.revision += 1;
      isChanged = true;
    }
    return isChanged;
  }

  /** Frames have no viewer, so `is_read` and the number of readers never go back. */
  replace(known, message) {
    Object.assign(known, message, {
      is_read: known.is_read || message.is_read,
      read_by_count: Math.max(known.read_by_count, message.read_by_count),
    });
    known.revision += 1;
  }

  lastOwn() {
    return this.sorted.findLast((message) => message.sender.id === this.myId && message.message_type === 'text');
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

/** A frame has no viewer, so it says nothing about the viewer's own reaction. */
function unseen({ user_reaction: _, ...message }) {
  return message;
}

/** A message lists only its newest reactions; the others are in the counts. */
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
