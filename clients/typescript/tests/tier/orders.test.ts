import { afterAll, beforeAll, expect, test } from 'vitest';
import WebSocket from 'ws';
import { connect, orders, type Realtime } from '../../src/index.ts';
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

function customer(more: object = {}): Realtime {
  const realtime = connect({ url: relay.url, token: () => tokenFor(7), websocket: WebSocket, ...more });
  open.push(realtime);
  return realtime;
}

test('a newcomer gets the order as it is, then what follows', async () => {
  await tier.order('5012', 1, 'PENDING');
  await tier.order('5012', 2, 'ACCEPTED');
  const order = orders(customer()).watch<{ note: string }>(5012);
  const seen: string[] = [];
  order.on('*', ({ type }) => seen.push(type));
  expect(await order.ready()).toMatchObject({ status: 'ACCEPTED', version: 2, order: { note: 'n2' } });
  await until(() => order.current.state === 'live', 'it is live');
  await tier.order('5012', 3, 'PREPARING');
  await until(() => order.current.value?.version === 3, 'version 3 came');
  expect(order.current.value?.status).toBe('PREPARING');
  expect(seen).toEqual(['order_snapshot', 'order_preparing']);
});

test('a second watcher of an open order gets its state, and both what follows', async () => {
  const realtime = customer();
  await tier.order('5013', 1, 'PENDING');
  const first = orders(realtime).watch(5013);
  await first.ready();
  const types: string[] = [];
  const feed = realtime.feed('order:5013');
  feed.on('*', ({ type }) => types.push(type));
  await until(() => feed.current.state === 'live', 'the second reader has joined');
  await tier.order('5013', 2, 'ACCEPTED');
  await until(() => first.current.value?.version === 2, 'version 2 came');
  await until(() => types.includes('order_accepted'), 'the feed has it');
  expect(types).toEqual(['order_snapshot', 'order_accepted']);
});

test('what happens while the line is cut comes once and in order', async () => {
  const realtime = customer();
  await tier.order('5014', 1, 'PENDING');
  const order = orders(realtime).watch(5014);
  const versions: unknown[] = [];
  order.on('*', ({ data }) => versions.push((data as { order_version: number }).order_version));
  await order.ready();
  await until(() => order.current.state === 'live', 'it is live');
  for (let version = 2; version <= 20; version += 1) {
    if (version % 6 === 0) relay.cut();
    await tier.order('5014', version, version % 2 ? 'PREPARING' : 'ACCEPTED');
  }
  await until(() => order.current.value?.version === 20, 'the last one came');
  expect(versions).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
});

test("a user's own feed is given by the tier, and heals as well", async () => {
  const realtime = customer();
  const feed = realtime.feed('customer:7');
  const seen: number[] = [];
  feed.on('promo_published', ({ data }) => seen.push((data as { n: number }).n));
  await until(() => feed.current.state === 'live', 'the feed is live');
  for (let n = 0; n < 30; n += 1) {
    if (n % 10 === 5) relay.cut();
    await tier.publish('customer:7', { type: 'promo.published', data: { n } });
  }
  await until(() => seen.length >= 30, 'all came');
  expect(seen).toEqual(Array.from({ length: 30 }, (_, n) => n));
});

test('an order of somebody else is an error that says so', async () => {
  const order = orders(customer({ token: () => tokenFor(8) })).watch(5012);
  await expect(order.ready()).rejects.toMatchObject({ code: 'forbidden', retryable: false });
  expect(order.current.state).toBe('offline');
});

test('a token that ends is renewed, and nothing is missed', async () => {
  let asked = 0;
  const realtime = customer({
    token: () => {
      asked += 1;
      return tokenFor(7, {}, 4);
    },
  });
  const feed = realtime.feed('customer:7');
  const seen: number[] = [];
  feed.on('system_alert', ({ data }) => seen.push((data as { n: number }).n));
  await until(() => feed.current.state === 'live', 'the feed is live');
  for (let n = 0; asked < 3; n += 1) {
    await tier.publish('customer:7', { type: 'system_alert', data: { n } });
    const before = n;
    await until(() => seen.at(-1) === before, 'it came');
  }
  expect(seen).toEqual(seen.map((_, index) => index));
});

test('a token that has ended and is all there is, is said to be', async () => {
  const realtime = customer({ token: tokenFor(7, {}, -60) });
  await until(() => realtime.error?.code === 'unauthorised', 'it says so');
  await until(() => realtime.state === 'offline', 'it is offline');
});

test('where sockets are refused it polls by itself, and goes back to sockets without a gap', async () => {
  relay.refusesSockets = true;
  relay.cut();
  const realtime = customer({ fallbackMs: 200 });
  await tier.order('5015', 1, 'PENDING');
  const order = orders(realtime).watch(5015);
  const feed = realtime.feed('customer:7');
  const seen: string[] = [];
  feed.on('ticket_updated', ({ event_id }) => seen.push(String(event_id)));
  await until(() => order.current.state === 'polling' && order.current.value?.version === 1, 'it polls');
  await until(() => feed.current.state === 'polling', 'the feed polls');
  const events = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, index) => ({
      type: 'ticket.updated',
      data: {},
      event_id: `ticket-${from + index}`,
    }));
  await tier.publish('customer:7', ...events(0, 5));
  await tier.order('5015', 2, 'ACCEPTED');
  await until(() => seen.length === 5 && order.current.value?.version === 2, 'polls bring what happens');
  relay.refusesSockets = false;
  const publishing = (async () => {
    for (let n = 5; n < 60; n += 1) await tier.publish('customer:7', ...events(n, n + 1));
  })();
  await until(() => realtime.state === 'live', 'it is back on sockets');
  await publishing;
  await until(() => seen.length >= 60, 'all came');
  expect(seen).toEqual(events(0, 60).map(({ event_id }) => event_id));
  expect(order.current.value?.version).toBe(2);
});

test('without sockets by VITE_WS_ENABLED it only polls', async () => {
  const env = { VITE_WS_URL: relay.url, VITE_WS_ENABLED: 'false' };
  const realtime = customer({ url: undefined, env });
  const order = orders(realtime).watch(5012);
  expect((await order.ready()).version).toBe(3);
  expect(realtime.state).toBe('polling');
  await tier.order('5012', 4, 'READY');
  await until(() => order.current.value?.version === 4, 'the poll brings it');
});

test('an edge that is killed and comes back is caught up with', async () => {
  const own = await Tier.start();
  await own.order('9', 1, 'PENDING');
  const realtime = customer({ url: own.url, fallbackMs: 300 });
  const order = orders(realtime).watch(9);
  await order.ready();
  await own.order('9', 2, 'ACCEPTED');
  await until(() => order.current.value?.version === 2, 'version 2 came');
  const states: string[] = [];
  realtime.onState(() => states.push(realtime.state));
  await own.kill();
  await until(() => order.current.state === 'offline', 'it says that it is offline');
  await own.start();
  await own.order('9', 3, 'PREPARING');
  await until(() => order.current.state === 'live' && order.current.value?.version === 3, 'it has caught up');
  expect(states[0]).toBe('catching-up');
  expect(states).toContain('offline');
  expect(states.at(-1)).toBe('live');
  realtime.close();
  await own.close();
});
