// What decides between sockets and polls besides whether sockets work: Django's health view, and the application's own polls.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import WebSocket from 'ws';
import { connect, type Options, orderSnapshot, orders, type Realtime } from '../../src/index.ts';
import { Relay, Tier, tokenFor, until } from '../servers.ts';

let tier: Tier;
let relay: Relay;
let django: Server;
let health: string;
const said = { enabled: true, poll_seconds: 1 };
const open: Realtime[] = [];

beforeAll(async () => {
  tier = await Tier.start();
  relay = await Relay.to(tier.port);
  django = createServer((_, answer) => answer.end(JSON.stringify({ available: said.enabled, ...said })));
  await new Promise<void>((resolve) => django.listen(0, '127.0.0.1', resolve));
  health = `http://127.0.0.1:${(django.address() as AddressInfo).port}/realtime/health`;
});

afterAll(async () => {
  for (const realtime of open) realtime.close();
  django.closeAllConnections();
  django.close();
  await relay.close();
  await tier.close();
});

function customer(more: Partial<Options>): Realtime {
  const realtime = connect({ url: relay.url, token: () => tokenFor(7), websocket: WebSocket, ...more });
  open.push(realtime);
  return realtime;
}

test('when Django says that realtime is off it polls, and goes back when it is on', async () => {
  said.enabled = false;
  await tier.order('1', 1, 'PENDING');
  const realtime = customer({ health });
  const order = orders(realtime).watch(1);
  await until(() => order.current.state === 'polling' && order.current.value, 'it polls');
  expect(relay.sockets).toBe(0);
  await tier.order('1', 2, 'ACCEPTED');
  await until(() => order.current.value?.version === 2, 'the poll brings it');
  said.enabled = true;
  await until(() => order.current.state === 'live', 'it is live');
  await tier.order('1', 3, 'PREPARING');
  await until(() => order.current.value?.version === 3, 'the socket brings it');
  realtime.close();
});

test("the application's own API serves where the tier is not there at all", async () => {
  let version = 1;
  const asked: string[] = [];
  const realtime = customer({
    url: 'ws://127.0.0.1:9/ws',
    fallbackMs: 50,
    health,
    poll: async ({ channel, kind, id }) => {
      asked.push(channel);
      return kind === 'order' ? [orderSnapshot({ id: Number(id), status: 'READY' }, version)] : [];
    },
  });
  const order = orders(realtime).watch(44);
  expect(await order.ready()).toMatchObject({ version: 1, status: 'READY' });
  expect(order.current.state).toBe('polling');
  version = 2;
  await until(() => order.current.value?.version === 2, 'the next poll brings it');
  expect(new Set(asked)).toEqual(new Set(['order:44']));
  await expect(realtime.call('orders.get', { order_id: 44 })).rejects.toMatchObject({ code: 'unavailable' });
  realtime.close();
});

test('without sockets and polls it is offline, and says why', async () => {
  const order = orders(customer({ sockets: false, poll: false })).watch(1);
  await expect(order.ready()).rejects.toMatchObject({ code: 'unsupported' });
  expect(order.current.state).toBe('offline');
});

test('without a token it is offline, and goes on when somebody has signed in', async () => {
  let token = '';
  await tier.order('2', 1, 'PENDING');
  const realtime = customer({ token: () => token, poll: false });
  await until(() => realtime.error?.code === 'unauthorised', 'it says that nobody is signed in');
  expect(realtime.state).toBe('offline');
  token = tokenFor(7);
  realtime.retry();
  const order = orders(realtime).watch(2);
  expect((await order.ready()).version).toBe(1);
  realtime.close();
});

test('many channels are polled in turns', async () => {
  const realtime = customer({ sockets: false, health });
  const ids = Array.from({ length: 9 }, (_, index) => 100 + index);
  for (const id of ids) await tier.order(`${id}`, 1, 'PENDING');
  const all = ids.map((id) => orders(realtime).watch(id));
  await Promise.all(all.map((order) => order.ready()));
  for (const id of ids) await tier.order(`${id}`, 2, 'ACCEPTED');
  for (const order of all) await until(() => order.current.value?.version === 2, 'its poll came');
  realtime.close();
});
