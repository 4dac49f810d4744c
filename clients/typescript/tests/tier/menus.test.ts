import { afterAll, beforeAll, expect, test } from 'vitest';
import WebSocket from 'ws';
import { connect, isAvailable, type MenuView, menu, type Options, type Realtime } from '../../src/index.ts';
import { Relay, Tier, tokenFor, until } from '../servers.ts';

let tier: Tier;
let relay: Relay;
const open: Realtime[] = [];

beforeAll(async () => {
  tier = await Tier.start({ REALTIME_EDGE_ANONYMOUS: 'true' });
  relay = await Relay.to(tier.port);
});

afterAll(async () => {
  for (const realtime of open) realtime.close();
  await relay.close();
  await tier.close();
});

function guest(more: Partial<Options> = {}): Realtime {
  const realtime = connect({ url: relay.url, token: () => tokenFor(7), websocket: WebSocket, ...more });
  open.push(realtime);
  return realtime;
}

/** As Django's broadcaster says it. */
const says = (restaurant: number, items: object[]) =>
  tier.publish(`menu:${restaurant}`, { type: 'menu.updated', data: { restaurant_id: restaurant, items } });
const shown = (view: MenuView | undefined) =>
  [501, 502, 503].map((id) => [isAvailable(view, id), view?.items.get(`${id}`)?.price ?? null]);

test('a menu is what is sold out and priced otherwise, then what changes', async () => {
  await says(12, [
    { item_id: 501, is_available: false },
    { item_id: 502, price: '9.50' },
  ]);
  const view = menu(guest()).watch(12);
  await view.ready();
  expect(shown(view.current.value)).toEqual([
    [false, null],
    [true, '9.50'],
    [true, null],
  ]);
  await until(() => view.current.state === 'live', 'it is live');
  await says(12, [
    { item_id: 501, is_available: true },
    { item_id: 503, is_available: false },
  ]);
  await until(() => !isAvailable(view.current.value, 503), 'the change came');
  expect(shown(view.current.value)).toEqual([
    [true, null],
    [true, '9.50'],
    [false, null],
  ]);
  expect(view.current.value?.structure).toBe(1);
});

test('values that change during a break are caught up with by the state', async () => {
  const view = menu(guest({ poll: false })).watch(13);
  await until(() => view.current.state === 'live', 'it is live');
  relay.refusesSockets = true;
  relay.cut();
  await until(() => view.current.state !== 'live', 'the line is cut');
  await says(13, [{ item_id: 501, is_available: false }]);
  await says(13, [
    { item_id: 501, is_available: true },
    { item_id: 502, is_available: false },
  ]);
  relay.refusesSockets = false;
  await until(() => view.current.state === 'live', 'it is live again');
  await until(() => !isAvailable(view.current.value, 502), 'the state came');
  expect(shown(view.current.value)).toEqual([
    [true, null],
    [false, null],
    [true, null],
  ]);
});

test('polls and people without a token get a menu as well', async () => {
  await says(14, [{ item_id: 503, is_available: false }]);
  for (const more of [
    { sockets: false },
    { token: '', anonymous: true },
    { token: '', anonymous: true, sockets: false },
  ]) {
    const view = menu(guest(more)).watch(14);
    await view.ready();
    expect(isAvailable(view.current.value, 503)).toBe(false);
    view.close();
  }
  const view = menu(guest({ sockets: false })).watch(14);
  await view.ready();
  await says(14, [{ item_id: 503, is_available: true }]);
  await until(() => isAvailable(view.current.value, 503), 'the poll brings it');
});
