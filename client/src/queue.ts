// Messages on their way: in order, one at a time in each room, until the server has stored them.

import type { Outbox } from './outbox.js';
import type { ClientFrame, ServerFrame } from './protocol.js';
import { unique } from './store.js';
import type { Down, Unsent } from './wire.js';

/** The server knows a `client_id` for a day; a later repetition would be a second message. */
const REPEATABLE_MS = 24 * 3_600_000;

const byTime = (a: Unsent, b: Unsent) => a.at - b.at;

/** `request` is false if there is no connection; `done` gets null if the connection ended without an answer. */
export function createQueue(
  outbox: Outbox,
  send: (message: Down, tab?: string) => void,
  request: (frame: ClientFrame, done: (reply: ServerFrame | null) => void) => unknown,
) {
  let all: Unsent[] = [];
  /** Topics with a message under way. */
  const busy = new Set<string>();
  const loaded = outbox.load().then((stored) => {
    const fresh = stored.filter(({ client_id }) => !find(client_id));
    all = [...all, ...fresh].sort(byTime);
    fresh.forEach((unsent) => tell(unsent));
    flush();
  });
  const find = (client_id: string) => all.find((unsent) => unsent.client_id === client_id);
  const tell = (unsent: Unsent, tab?: string) => send({ type: 'unsent', topic: unsent.topic, unsent }, tab);

  function keep(unsent: Unsent) {
    outbox.put(unsent);
    tell(unsent);
  }

  /** An entry is replaced and never changed: tabs may have it. */
  function change(unsent: Unsent, patch: Partial<Unsent>) {
    const changed = { ...unsent, ...patch };
    all = all.map((one) => (one === unsent ? changed : one));
    keep(changed);
  }

  /** It waits no more: it is stored as the message `id`, or it was given up. */
  function done({ topic, client_id }: Unsent, id?: string) {
    all = all.filter((unsent) => unsent.client_id !== client_id);
    outbox.remove(client_id);
    send({ type: 'done', topic, client_id, id });
  }

  function pump(topic: string) {
    if (busy.has(topic)) return;
    const unsent = all.find((one) => one.topic === topic && !one.error);
    if (!unsent) return;
    if (Date.now() - unsent.at > REPEATABLE_MS) {
      change(unsent, { error: { code: 'too_old', text: '' } });
      return pump(topic);
    }
    const { client_id, content, message_type, reply_to } = unsent;
    busy.add(topic);
    const isSent = request({ type: 'chat_message', topic, client_id, content, message_type, reply_to }, (reply) => {
      busy.delete(topic);
      if (!reply) return;
      if (reply.type === 'ack') done(unsent, reply.message_id ?? client_id);
      else if (reply.type === 'error') {
        if (reply.retry === 'later') return void setTimeout(pump, reply.retry_after_ms ?? 2000, topic);
        const refused = find(client_id);
        if (refused) change(refused, { error: { code: reply.code, text: reply.text } });
      }
      pump(topic);
    });
    if (!isSent) busy.delete(topic);
    else if (!unsent.tried) change(unsent, { tried: true });
  }

  function add(unsent: Unsent) {
    if (find(unsent.client_id)) return;
    all = [...all, unsent].sort(byTime);
    keep(unsent);
    void loaded.then(() => pump(unsent.topic));
  }

  function flush() {
    for (const topic of new Set(all.map((unsent) => unsent.topic))) pump(topic);
  }

  return {
    /** All that waits, to one tab. */
    tellAll: (tab: string) => all.forEach((unsent) => tell(unsent, tab)),
    /** Sends what waits, once it is known. */
    flush: () => void loaded.then(flush),
    remove(client_id: string) {
      const unsent = find(client_id);
      if (unsent) done(unsent);
    },
    /** Nothing is on its way; what has failed waits for its user. */
    isEmpty: () => all.every((unsent) => unsent.error),
    add,
    /** The user wants it sent after all. */
    again(topic: string, client_id?: string) {
      for (const unsent of [...all]) {
        if (unsent.topic !== topic || !unsent.error || (client_id && client_id !== unsent.client_id)) continue;
        // What was refused is not stored, and what is old may be forgotten: it is another message.
        done(unsent);
        add({ ...unsent, client_id: unique(), at: Date.now(), tried: false, error: undefined });
      }
    },
    clear() {
      outbox.clear();
      for (const unsent of all) done(unsent);
    },
  };
}
