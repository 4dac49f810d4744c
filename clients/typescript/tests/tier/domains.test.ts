import { afterAll, beforeAll, expect, test } from 'vitest';
import WebSocket from 'ws';
import {
  chat,
  connect,
  delivery,
  notifications,
  type Payloads,
  payloadOf,
  type Realtime,
  type RiderLocation,
} from '../../src/index.ts';
import { Relay, Tier, tokenFor, until } from '../servers.ts';

let tier: Tier;
let relay: Relay;
const open: Realtime[] = [];

beforeAll(async () => {
  tier = await Tier.start();
  relay = await Relay.to(tier.port);
});

afterAll(async () => {
  for (const realtime of open) realtime.close();
  await relay.close();
  await tier.close();
});

function as(user: number, claims: object = {}): Realtime {
  const realtime = connect({
    url: relay.url,
    token: () => tokenFor(user, { ...claims }),
    websocket: WebSocket,
  });
  open.push(realtime);
  return realtime;
}

test('two people in a room see the same messages in the same order', async () => {
  await tier.room('88', ['7', '31']);
  const [ada, ben] = [chat(as(7)).room(88), chat(as(31)).room(88)];
  await Promise.all([ada.ready(), ben.ready()]);
  await Promise.all([ada.send('hello'), ben.send('hi')]);
  const third = await ada.send('where are you?');
  expect(third).toMatchObject({
    duplicate: false,
    held: false,
    message: { content: 'where are you?', sender: 7 },
  });
  const texts = (room: typeof ada) => room.current.value?.messages.map(({ content }) => content) ?? [];
  await until(() => texts(ada).length === 3 && texts(ben).length === 3, 'both have all');
  expect(texts(ada)).toEqual(texts(ben));
  const sequences = ben.current.value?.messages.map(({ sequence }) => sequence) ?? [];
  expect(sequences.map((sequence) => sequence - (sequences[0] ?? 0))).toEqual([0, 1, 2]);

  const edited = await ada.edit(third.message.id, 'where?');
  expect(edited.edited_at).not.toBeNull();
  await until(() => texts(ben)[2] === 'where?', 'the edit came');
  await ada.delete(third.message.id);
  await until(() => texts(ben)[2] === '', 'the deletion came');
  await ben.markRead();
  await until(() => (ada.current.value?.reads.get('31') ?? 0) >= third.message.sequence, 'the mark came');
  ben.typing(true);
  await until(() => ada.current.value?.typing.get('31') === 'User 31', 'ben types');
  await ben.send('done');
  await until(() => ada.current.value?.typing.size === 0, 'ben types no more');
  expect(await ada.presence()).toEqual(expect.arrayContaining([7, 31]));
});

test('a message whose answer is lost is sent once', async () => {
  await tier.room('89', ['7', '31']);
  const [ada, ben] = [chat(as(7)).room(89), chat(as(31)).room(89)];
  await Promise.all([ada.ready(), ben.ready()]);
  for (let n = 0; n < 5; n += 1) {
    const sent = ada.send(`m${n}`);
    relay.cut();
    await sent;
  }
  const all = ['m0', 'm1', 'm2', 'm3', 'm4'];
  for (const room of [ada, ben]) {
    await until(() => room.current.value?.messages.length === 5, 'all came');
    expect(room.current.value?.messages.map(({ content }) => content)).toEqual(all);
  }
});

test('a long room is read in pages, and a stranger sees nothing', async () => {
  await tier.room('90', ['7']);
  for (let n = 0; n < 120; n += 1) {
    await tier.call('ChatService', 'SendMessage', {
      room_id: '90',
      type: 'MESSAGE_TYPE_SYSTEM',
      content: `${n}`,
    });
  }
  const room = chat(as(7)).room(90);
  const { messages, hasOlder } = await room.ready();
  expect([messages.length, hasOlder]).toEqual([50, true]);
  expect([await room.loadOlder(), await room.loadOlder(), await room.loadOlder()]).toEqual([
    true,
    false,
    false,
  ]);
  const texts = room.current.value?.messages.map(({ content }) => content);
  expect(texts).toEqual(Array.from({ length: 120 }, (_, n) => `${n}`));
  await expect(chat(as(9)).room(90).ready()).rejects.toMatchObject({ code: 'forbidden' });
});

test('an inbox is the same on all devices', async () => {
  await tier.notify('7', 'before');
  const [phone, laptop] = await Promise.all([as(7), as(7)].map((one) => notifications(one).inbox()));
  if (!phone || !laptop) throw new Error('no inbox');
  expect((await phone.ready()).unreadCount).toBe(1);
  await laptop.ready();
  await tier.notify('7', 'after', { collapse_key: 'a' });
  await tier.notify('7', 'later', { collapse_key: 'a' });
  const titles = (inbox: typeof phone) => inbox.current.value?.notifications.map(({ title }) => title);
  for (const inbox of [phone, laptop]) {
    await until(() => titles(inbox)?.[0] === 'later', 'it came');
    expect(titles(inbox)).toEqual(['later', 'before']);
    expect(inbox.current.value?.unreadCount).toBe(2);
  }
  const id = phone.current.value?.notifications[1]?.id ?? 0;
  await phone.shown(id);
  await phone.markRead([id]);
  await until(() => laptop.current.value?.unreadCount === 1, 'the mark came');
  await laptop.clear();
  await until(() => titles(phone)?.length === 1, 'what was read is gone');
  expect(titles(laptop)).toEqual(['later']);
  await phone.markRead('all');
  await until(() => laptop.current.value?.unreadCount === 0, 'all is read');
  await until(() => laptop.current.value?.notifications[0]?.is_read, 'the notification is');
});

test('preferences and snoozing are kept', async () => {
  const own = notifications(as(7));
  await own.setPreferences({ muted: { PROMOTIONS: ['PUSH'] }, time_zone: 'Europe/Helsinki', language: 'de' });
  expect(await own.preferences()).toMatchObject({ muted: { PROMOTIONS: ['PUSH'] }, language: 'de' });
  await own.snooze(new Date(Date.now() + 3_600_000));
  expect((await own.preferences()).snoozed_until).toBeTruthy();
  await own.snooze(null);
  expect((await own.preferences()).snoozed_until).toBeNull();
  expect(await own.unread()).toBe(0);
});

test('a delivery is followed, and a place never replaces a newer one', async () => {
  await tier.call('TrackingService', 'StartShift', { rider_id: '31' });
  const put = (status: string, version: number) =>
    tier.call('TrackingService', 'PutDelivery', {
      delivery: {
        delivery_id: '9',
        order_id: '5012',
        status: `DELIVERY_STATUS_${status}`,
        version,
        customer_id: '7',
        restaurant_id: '12',
        rider_id: '31',
        pickup: { latitude: 60.17, longitude: 24.94 },
        dropoff: { latitude: 60.18, longitude: 24.95 },
      },
    });
  await put('ACCEPTED', 1);
  const [customer, rider] = [as(7), as(31, { role: 'DELIVERY' })];
  const track = delivery(customer).track(9);
  await until(() => track.current.state === 'live', 'it is live');
  const fix = (latitude: number) => ({
    latitude,
    longitude: 24.94,
    accuracy: 5,
    recorded_at: new Date().toISOString(),
  });
  const { answers } = await delivery(rider).report([fix(60.165), fix(60.1651)]);
  expect(answers[0]?.outcome).toBe('shown');
  const view = await track.ready();
  expect(view.place?.latitude).toBeCloseTo(60.165, 2);
  expect(view).toMatchObject({ deliveryId: '9', liveness: 'live' });
  expect(view).toHaveProperty('etaMinutes');
  await put('PICKED_UP', 2);
  await until(() => track.current.value?.status === 'PICKED_UP', 'the status came');
  // Who comes later gets the newest at once, on an open channel too.
  const late: RiderLocation[] = [];
  const feed = customer.feed('track:9');
  feed.on('rider_location', ({ data }) => late.push(payloadOf(data as Payloads['rider_location'])));
  await until(() => late.length > 0, 'the newest place came');
  expect(late[0]?.rider_id).toBe(31);
  await put('DELIVERED', 3);
  await until(() => track.current.error?.code === 'forbidden', 'it is closed at its end');
});
