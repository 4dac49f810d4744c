// State plus events equals fresh state, for each domain: however late, often and mixed up its events come.

import { expect, test } from 'vitest';
import { reduceChat } from '../../src/chat.ts';
import { ageNow, reduceDelivery } from '../../src/delivery.ts';
import type { Frame } from '../../src/events.ts';
import { isAvailable, type MenuView, reduceMenu } from '../../src/menu.ts';
import { type InboxView, reduceInbox } from '../../src/notifications.ts';
import { type OrderView, orderSnapshot, reduceOrder } from '../../src/orders.ts';
import type { ChatMessage } from '../../src/payloads/chat.ts';
import type { MenuItemChange } from '../../src/payloads/menus.ts';
import { seeded } from './seeds.ts';

const random = seeded();
const below = (end: number) => Math.floor(random() * end);
const pick = <T>(list: readonly T[]) => list[below(list.length)] as T;
const mixed = <T>(list: T[]) =>
  list
    .map((one) => [random(), one] as const)
    .sort(([a], [b]) => a - b)
    .map(([, one]) => one);
const fold = <T>(reduce: (held: T | undefined, event: Frame) => T | undefined, events: Frame[], held?: T) =>
  events.reduce<T | undefined>(reduce, held);

const STATUSES = ['PENDING', 'ACCEPTED', 'PREPARING', 'READY', 'DELIVERED'] as const;
const orderEvent = (version: number): Frame => ({
  type: 'order_updated',
  data: {
    event_id: `${version}`,
    type: 'order.updated',
    version: '1.0',
    timestamp: '2026-11-24T11:30:00.000000+00:00',
    aggregate_type: 'order',
    aggregate_id: '5012',
    payload: { n: version },
    status: STATUSES[version % 5],
    order_version: version,
  },
});

test('an order is what its newest version says, in whatever order events come', () => {
  const events = Array.from({ length: 12 }, (_, version) => orderEvent(version + 1));
  const reduce = reduceOrder<{ n: number }>('5012');
  const fresh = fold(reduce, [events[11] as Frame]);
  for (let round = 0; round < 300; round += 1) {
    const snapshot = { ...(pick(events) as Frame), type: 'order_snapshot' };
    const seen: OrderView<{ n: number }>[] = [];
    let held: OrderView<{ n: number }> | undefined;
    for (const event of [snapshot, ...mixed([...events, pick(events), pick(events)])]) {
      held = reduce(held, event);
      if (held) seen.push(held);
    }
    expect(held?.order, `seed ${random.seed}`).toEqual(fresh?.order);
    const versions = seen.map(({ version }) => version);
    expect(versions, 'a screen never goes backwards').toEqual([...versions].sort((a, b) => a - b));
  }
});

test('an order of the REST API is a frame as any other, and deadlines and other orders change nothing', () => {
  const reduce = reduceOrder('5012');
  const held = reduce(undefined, orderSnapshot({ id: 5012, status: 'READY' }, 7));
  expect(held).toMatchObject({ status: 'READY', version: 7, order: { id: 5012 } });
  expect(reduce(held, { ...orderEvent(9), type: 'sla_breach' })).toBe(held);
  expect(reduce(held, orderSnapshot({ id: 5013, status: 'READY' }, 9))).toBe(held);
  expect(reduce(held, { type: 'order_updated', data: null })).toBe(held);
});

test('a menu with its changes is the menu as it would be given now', () => {
  const ids = ['1', '2', '3', '4', '5'];
  for (let round = 0; round < 300; round += 1) {
    // The tier's side: items by id, with the version of their last change.
    const items = new Map<string, MenuItemChange>();
    const log: Frame[] = [];
    let version = 0;
    const snapshot = (): Frame => ({
      type: 'menu_snapshot',
      data: {
        restaurant_id: '12',
        menu_version: version,
        complete: true,
        items: [...items.values()]
          .filter(({ available, price }) => !available || price !== null)
          .map(({ item_id, available, until, price }) => ({ item_id, available, until, price })),
      },
    });
    const snapshots = [snapshot()];
    for (let step = 0; step < 25; step += 1) {
      version += 1;
      const change = {
        restaurant_id: '12',
        menu_version: version,
        item_id: pick(ids),
        available: random() < 0.5,
        until: null,
        price: random() < 0.5 ? null : '9.50',
        removed: false,
      };
      items.set(change.item_id, change);
      log.push({ type: 'menu_item', data: change });
      if (random() < 0.2) snapshots.push(snapshot());
    }
    const at = below(snapshots.length);
    const base = (snapshots[at] as Frame).data as { menu_version: number };
    // A value is only told newer or the same: of each item the last comes, others may be left out or repeated.
    const last = ids.flatMap((id) =>
      log.filter(({ data }) => (data as MenuItemChange).item_id === id).slice(-1),
    );
    const later = last.filter(({ data }) => (data as MenuItemChange).menu_version > base.menu_version);
    const events = [snapshots[at] as Frame, ...mixed([...later, pick(log), pick(log)])];
    const shown = (menu: MenuView | undefined) =>
      ids.map((id) => [isAvailable(menu, id), menu?.items.get(id)?.price ?? null]);
    const reduce = reduceMenu('12');
    expect(shown(fold(reduce, events)), `seed ${random.seed}`).toEqual(shown(fold(reduce, [snapshot()])));
    // A snapshot that comes late takes nothing back that is newer.
    const end = fold(reduce, [...events, snapshots[below(at + 1)] as Frame]);
    expect(shown(end), `seed ${random.seed}`).toEqual(shown(fold(reduce, [snapshot()])));
  }
});

test('a menu whose structure changed says so', () => {
  const reduce = reduceMenu('12');
  const view = fold(reduce, [
    { type: 'menu_updated', data: {} },
    { type: 'menu_updated', data: {} },
  ]);
  expect(view?.structure).toBe(2);
  const removed = {
    restaurant_id: '12',
    menu_version: 3,
    item_id: '5',
    available: true,
    until: null,
    price: null,
    removed: true,
  };
  expect(isAvailable(reduce(view, { type: 'menu_item', data: removed }), 5)).toBe(false);
  expect(isAvailable(undefined, 5)).toBe(true);
});

const message = (id: number, changed: number, content: string): ChatMessage => ({
  id,
  room: 88,
  sender: 7,
  sender_name: 'Ada',
  sender_email: '',
  sender_photo: null,
  message_type: 'TEXT',
  content,
  image_url: null,
  file_url: null,
  is_read: false,
  read_at: null,
  created_at: '2026-11-24T11:30:00.000000+00:00',
  sequence: id,
  changed,
  client_id: '',
  edited_at: null,
  deleted_at: null,
});

test('a room has one order and the newest state of each message, in whatever order events come', () => {
  const events: Frame[] = [];
  let changed = 0;
  for (let id = 1; id <= 10; id += 1)
    events.push({ type: 'chat_message', data: message(id, ++changed, `m${id}`) });
  changed = 10;
  for (let step = 0; step < 15; step += 1) {
    const id = 1 + below(10);
    changed += 1;
    events.push({ type: 'chat_message_edited', data: message(id, changed, `e${changed}`) });
  }
  const reduce = reduceChat('88');
  const fresh = fold(reduce, events)?.messages;
  for (let round = 0; round < 200; round += 1) {
    const held = fold(reduce, mixed([...events, pick(events), pick(events)]));
    expect(held?.messages, `seed ${random.seed}`).toEqual(fresh);
    expect(held?.sequence).toBe(changed);
  }
});

test('who types is shown until they say something; a mark never goes back', () => {
  const reduce = reduceChat('88');
  const typing = reduce(undefined, {
    type: 'typing',
    data: { user_id: 7, user_name: 'Ada', is_typing: true },
  });
  expect(typing?.typing.get('7')).toBe('Ada');
  expect(reduce(typing, { type: 'chat_message', data: message(1, 1, 'x') })?.typing.size).toBe(0);
  const read = (sequence: number): Frame => ({
    type: 'chat_read',
    data: { room: 88, user_id: 7, sequence, read_at: '' },
  });
  expect(fold(reduce, [read(4), read(2)])?.reads.get('7')).toBe(4);
});

test('an inbox with its events is the inbox as it would be listed now', () => {
  for (let round = 0; round < 200; round += 1) {
    // The tier's side.
    let list: InboxView['notifications'][number][] = [];
    const events: Frame[] = [];
    let id = 0;
    const unread = () => list.filter(({ is_read }) => !is_read).length;
    for (let step = 0; step < 30; step += 1) {
      const dice = random();
      if (dice < 0.6 || list.length === 0) {
        id += 1;
        const replaces =
          random() < 0.3
            ? list
                .filter(({ is_read }) => !is_read)
                .slice(0, 1)
                .map((one) => one.id)
            : [];
        list = list.filter((one) => !replaces.includes(one.id));
        const one = {
          id,
          type: 'SYSTEM',
          title: `n${id}`,
          message: '',
          data: null,
          is_read: false,
          read_at: null,
          created_at: '',
          category: 'SYSTEM',
          priority: 'NORMAL',
          sequence: id,
        };
        list = [one, ...list];
        events.push({ type: 'notification', data: { ...one, unread_count: unread(), replaces } });
      } else if (dice < 0.85) {
        const ids = [pick(list).id];
        const up_to = random() < 0.3 ? below(id) : 0;
        const isRead = (one: { id: number; sequence: number }) =>
          ids.includes(one.id) || one.sequence <= up_to;
        list = list.map((one) =>
          !one.is_read && isRead(one) ? { ...one, is_read: true, read_at: 't' } : one,
        );
        events.push({
          type: 'notification_read',
          data: { ids, up_to, unread_count: unread(), read_at: 't' },
        });
      } else {
        list = list.filter(({ is_read }) => !is_read);
        events.push({ type: 'notification_cleared', data: { up_to: id, unread_count: unread() } });
      }
    }
    const view = fold(reduceInbox, events);
    expect(view?.notifications, `seed ${random.seed}`).toEqual(list);
    expect(view?.unreadCount).toBe(unread());
  }
});

test('an older place never replaces a newer one, and its age goes on', () => {
  const reduce = reduceDelivery('9', () => 1_000);
  const place = (second: number): Frame => ({
    type: 'rider_location',
    data: {
      delivery_id: 9,
      timestamp: `2026-11-24T11:30:0${second}.000000+00:00`,
      age_seconds: 2,
      eta_minutes: second,
    },
  });
  const view = fold(reduce, [place(3), place(1)]);
  expect(view).toMatchObject({ etaMinutes: 3, ageSeconds: 2 });
  expect(view && ageNow(view, 6_000)).toBe(7);
  const status: Frame = { type: 'delivery_status_changed', data: { delivery_id: 9, status: 'PICKED_UP' } };
  expect(fold(reduce, [place(3), status, place(4)])).toMatchObject({ status: 'PICKED_UP', etaMinutes: 4 });
});
