// The user's notifications, and how many of them are unread.

import type { Host } from './client.js';
import { dashedId } from './store.js';
import { liveTopic, type LiveTopic, pathOf } from './topic.js';
import type { Live, Notification, Page } from './types.js';

export interface NotificationsState extends Live {
  /** The newest first. */
  notifications: readonly Notification[];
  unread: number;
}

export interface Notifications extends LiveTopic<NotificationsState> {
  loadOlder(): Promise<void>;
  markRead(id: string): Promise<void>;
  markAllRead(): Promise<void>;
  remove(id: string): Promise<void>;
}

const PATH = '/api/notifications/';

export function createNotifications(host: Host, page?: Page<object> & { unread?: number }): Notifications {
  let older: string | null = null;
  const list = () => topic.get().notifications;

  function firstPage({ results, next }: Page<object>) {
    older = pathOf(next);
    return { notifications: results as Notification[], hasOlder: !!older };
  }

  /** Puts one at the head, or in the place that it has. */
  function put(notification: Notification, isNew: boolean) {
    const place = list().findIndex((one) => one.id === notification.id);
    const { unread } = topic.get();
    if (place >= 0) return topic.set({ notifications: list().with(place, notification) });
    topic.set({ notifications: [notification, ...list()], unread: unread + (isNew || !notification.is_read ? 1 : 0) });
    if (isNew) host.toast({ kind: 'notification', text: notification.message });
  }

  const topic = liveTopic<NotificationsState>(
    host,
    'notifications',
    { notifications: [], unread: page?.unread ?? 0, ...(page && firstPage(page)) },
    page,
    {
      async read() {
        const answer = await host.list(PATH);
        const { unread_count: unread } = await host.json('GET', `${PATH}unread-count/`);
        return { patch: { ...firstPage(answer.body), unread }, cursor: answer.cursor };
      },
      apply(event) {
        const { notification_ids: ids } = event;
        switch (event.type) {
          case 'notification':
            return put(event.notification, true);
          case 'notification_updated':
            return put(event.notification, false);
          case 'notifications_read':
            return topic.set({
              notifications: list().map((one) => (ids.includes(one.id) ? { ...one, is_read: true } : one)),
              unread: Math.max(0, topic.get().unread - (event.count ?? 1)),
            });
          case 'notifications_deleted':
            return topic.set({
              notifications: list().filter((one) => !ids.includes(one.id)),
              unread: event.unread_count,
            });
        }
      },
    },
  );

  return {
    ...topic,
    async loadOlder() {
      const from = older;
      if (!from) return;
      const { results, next } = await host.json('GET', from);
      if (older !== from) return;
      older = pathOf(next);
      const known = new Set(list().map((one) => one.id));
      topic.set({ notifications: [...list(), ...results.filter((one: Notification) => !known.has(one.id))], hasOlder: !!older });
    },
    markRead: (id) => host.json('POST', `${PATH}${dashedId(id)}/read/`),
    markAllRead: () => host.json('POST', `${PATH}mark-all-read/`),
    remove: (id) => host.json('DELETE', `${PATH}${dashedId(id)}/delete/`),
  };
}
