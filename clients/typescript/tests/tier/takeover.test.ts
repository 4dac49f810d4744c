// Another tab's connection takes over, again and again, while events come: what browsers do with tabs, without them.

import { afterAll, beforeAll, expect, test } from 'vitest';
import WebSocket from 'ws';
import { addresses } from '../../src/address.ts';
import { Healing } from '../../src/healing.ts';
import { Hub } from '../../src/hub.ts';
import { Tokens } from '../../src/tokens.ts';
import { Tier, tokenFor, until } from '../servers.ts';

let tier: Tier;

beforeAll(async () => {
  tier = await Tier.start();
});

afterAll(() => tier.close());

test.each(['customer:7', 'order:5012'])('connections take over %s without gap or repeat', async (channel) => {
  const seen: number[] = [];
  const hub = new Hub(() => {});
  const connection = () =>
    new Healing(
      {
        addresses: addresses(tier.url),
        tokens: new Tokens(() => tokenFor(7)),
        transports: ['websocket'],
        websocket: WebSocket,
        sockets: true,
        polls: false,
        fallbackMs: 3_000,
        fetch,
      },
      hub,
    );
  await tier.order('5012', 1, 'PENDING');
  let own = connection();
  hub.attach(own);
  let isLive = false;
  hub.read(channel, {
    start: () => {},
    frame: ({ type, data }) => type === 'promo_published' && seen.push((data as { n: number }).n),
    state: (state) => (isLive = state === 'live'),
    fail: (error) => expect.fail(error.message),
  });
  await until(() => isLive, 'it is live');
  const count = 300;
  const publishing = (async () => {
    for (let n = 0; n < count; n += 1) await tier.publish(channel, { type: 'promo.published', data: { n } });
  })();
  let takeovers = 0;
  while (seen.length < count - 20) {
    const before = seen.length;
    await until(() => seen.length > before + 3, 'events flow');
    const next = connection();
    hub.attach(next);
    own.close();
    own = next;
    takeovers += 1;
  }
  await publishing;
  await until(() => seen.length >= count, 'all came');
  own.close();
  expect(seen).toEqual(Array.from({ length: count }, (_, n) => n));
  expect(takeovers).toBeGreaterThan(3);
});
