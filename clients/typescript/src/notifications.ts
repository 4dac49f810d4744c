// Notifications: the signed-in user's inbox as it is now, on every device the same.

import type { Frame } from './events.ts';
import type {
  Notification,
  NotificationPreferences,
  NotificationsRead,
  NotificationTold,
} from './payloads/notifications.ts';
import type { Realtime } from './realtime.ts';
import type { Watch } from './watch.ts';

export interface InboxView {
  /** The newest first. */
  notifications: readonly Notification[];
  unreadCount: number;
  /** There are older ones: `loadMore`. */
  hasMore: boolean;
}

interface Page {
  notifications: Notification[];
  more: boolean;
  unread_count: number;
}

const PAGE = 20;

const newestFirst = (list: Notification[]) => list.sort((one, other) => other.sequence - one.sequence);

/** An inbox with what an event says. Pure. */
export function reduceInbox(held: InboxView | undefined, { type, data }: Frame): InboxView | undefined {
  const { notifications, hasMore } = held ?? { notifications: [], hasMore: true };
  switch (type) {
    case 'notification': {
      const { unread_count: unreadCount, replaces = [], ...told } = data as NotificationTold;
      const gone = new Set([...replaces, told.id]);
      const others = notifications.filter(({ id }) => !gone.has(id));
      return { notifications: newestFirst([told, ...others]), unreadCount, hasMore };
    }
    case 'notification_read': {
      const { ids, up_to, unread_count: unreadCount, read_at } = data as NotificationsRead;
      const read = new Set(ids);
      const all = notifications.map((one) =>
        one.is_read || (one.sequence > up_to && !read.has(one.id)) ? one : { ...one, is_read: true, read_at },
      );
      return { notifications: all, unreadCount, hasMore };
    }
    case 'notification_cleared': {
      const { up_to, unread_count: unreadCount } = data as { up_to: number; unread_count: number };
      const left = notifications.filter((one) => !one.is_read || one.sequence > up_to);
      return { notifications: left, unreadCount, hasMore };
    }
  }
  return held;
}

/** An inbox with a page of the list: what is as new as the page is as the page says. */
const withPage = ({ notifications, more, unread_count }: Page, held: InboxView | undefined): InboxView => {
  const oldest = notifications.at(-1)?.sequence ?? 0;
  const older = more ? (held?.notifications.filter(({ sequence }) => sequence < oldest) ?? []) : [];
  return { notifications: [...notifications, ...older], unreadCount: unread_count, hasMore: more };
};

/** Where pushes go: `subscription.toJSON()` of a browser, or a device's token. */
export type Device = ({ web: PushSubscriptionJSON } | { fcm: string } | { apns: string }) & { name?: string };

export interface Inbox extends Watch<InboxView> {
  markRead(ids: number[] | 'all'): Promise<void>;
  /** Takes away what was read. */
  clear(): Promise<void>;
  /** It was on a screen, and is not pushed. */
  shown(id: number): Promise<void>;
  /** False: there are no older ones. */
  loadMore(): Promise<boolean>;
}

/** `await notifications(realtime).inbox()` */
export const notifications = (realtime: Realtime) => ({
  /** Of whoever the token says: there is no other. Resolves when that is known. */
  async inbox(): Promise<Inbox> {
    return inbox(realtime, await realtime.userId());
  },
  unread: async () => (await realtime.call<{ unread_count: number }>('notifications.unread')).unread_count,
  preferences: () => realtime.call<NotificationPreferences>('notifications.preferences'),
  setPreferences: (all: NotificationPreferences) =>
    realtime.call<NotificationPreferences>('notifications.preferences', all),
  /** `null`: not any more. */
  snooze: async (until: Date | null) => {
    await realtime.call('notifications.snooze', { until: until?.toISOString() ?? null });
  },
  /** For `pushManager.subscribe`; `null` where web push is off. */
  pushKey: async () =>
    (await realtime.call<{ vapid_public_key: string | null }>('notifications.key')).vapid_public_key,
  subscribeDevice: async (device: Device) =>
    (await realtime.call<{ device_id: string }>('notifications.subscribe', device)).device_id,
  unsubscribeDevice: async (deviceId: string) => {
    await realtime.call('notifications.unsubscribe', { device_id: deviceId });
  },
});

function inbox(realtime: Realtime, userId: string): Inbox {
  const watch = realtime.watch<InboxView>({
    channel: `inbox:${userId}`,
    reduce: reduceInbox,
    async load({ fresh }, value) {
      if (!fresh && value) return (held) => held;
      const page = await realtime.call<Page>('notifications.list', { limit: PAGE });
      return (held) => withPage(page, held);
    },
  });
  return Object.assign(watch, {
    async markRead(ids: number[] | 'all') {
      await realtime.call('notifications.read', ids === 'all' ? { all: true } : { ids });
    },
    async clear() {
      await realtime.call('notifications.clear');
    },
    async shown(id: number) {
      await realtime.call('notifications.shown', { notification_id: id });
    },
    async loadMore() {
      const last = watch.current.value?.notifications.at(-1);
      if (!last || !watch.current.value?.hasMore) return false;
      const page = await realtime.call<Page>('notifications.list', { before: last.sequence, limit: PAGE });
      watch.apply((held) => {
        const known = new Set(held?.notifications.map(({ id }) => id));
        const all = [
          ...(held?.notifications ?? []),
          ...page.notifications.filter(({ id }) => !known.has(id)),
        ];
        return { notifications: newestFirst(all), unreadCount: page.unread_count, hasMore: page.more };
      });
      return page.more;
    },
  });
}
