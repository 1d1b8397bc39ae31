// The user's notifications, and how many of them are unread.

import type { Client, Host } from './client.js';
import { dashedId } from './store.js';
import { type Internal, joined, liveTopic, type LiveTopic } from './topic.js';
import type { Live, Notification, Page } from './types.js';

export interface NotificationsState extends Live {
  /** The newest first. */
  notifications: readonly Notification[];
  unread: number;
}

export interface Notifications extends LiveTopic<NotificationsState> {
  markRead(id: string): Promise<unknown>;
  markAllRead(): Promise<unknown>;
  remove(id: string): Promise<unknown>;
}

const PATH = '/api/notifications/';

/** The store of the user's notifications. `page` is what a server component has read, and counts for a store that is new. */
export const notifications = (client: Client, page?: Page<object> & { unread?: number }): Notifications =>
  (client as Host).store('notifications', (host) => createNotifications(host, page));

function createNotifications(host: Host, page?: Page<object> & { unread?: number }): Notifications {
  const list = (): readonly Notification[] => topic.get().notifications;

  /** `count` are read now; some of them may be shown as read already, or not be shown. */
  function read(ids: string[], count: number) {
    const known = list().filter(({ id }) => ids.includes(id));
    const fresh = known.filter((one) => !one.is_read).length + Math.max(0, count - known.length);
    const notifications = list().map((one) => (ids.includes(one.id) ? { ...one, is_read: true } : one));
    topic.set({ notifications, unread: Math.max(0, topic.get().unread - fresh) });
  }

  const topic: Internal<NotificationsState> = liveTopic<NotificationsState>(host, 'notifications', { notifications: [], unread: page?.unread ?? 0 }, page, {
    async read() {
      const { body, cursor } = await host.call('GET', PATH);
      const count = await host.call('GET', `${PATH}unread-count/`);
      return { page: body, cursor, patch: { unread: count.body.unread_count } };
    },
    first: (notifications) => ({ notifications }),
    more: (older) => ({ notifications: joined(list(), older) }),
    apply({ type, notification: one, notification_ids: ids, count = 1, unread_count }) {
      const { unread } = topic.get();
      if (one) {
        const isNew = type === 'notification';
        const isKnown = list().some(({ id }) => id === one.id);
        // One that has changed may be back in the list; then it is as it was, read or not.
        if (isKnown) topic.set({ notifications: list().map((known) => (known.id === one.id ? one : known)) });
        else topic.set({ notifications: [one, ...list()], unread: unread + (isNew || !one.is_read ? 1 : 0) });
        if (isNew) host.toast({ kind: 'notification', text: one.message });
      } else if (type === 'notifications_read') read(ids, count);
      else if (ids) topic.set({ notifications: list().filter(({ id }) => !ids.includes(id)), unread: unread_count });
    },
  });

  return {
    ...topic,
    async markRead(id) {
      await host.call('POST', `${PATH}${dashedId(id)}/read/`);
      // Without a connection no event tells it.
      read(list().filter((one) => one.id === id).map((one) => one.id), 0);
    },
    markAllRead: () => host.call('POST', `${PATH}mark-all-read/`),
    remove: (id) => host.call('DELETE', `${PATH}${dashedId(id)}/delete/`),
  };
}
