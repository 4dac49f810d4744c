import type { Page } from '@playwright/test';
import type {} from '../page/page.tsx';
import { expect, test, until } from './world.ts';

/** Counts a customer's alerts in the page, and remembers the states that the connection went through. */
async function listens(page: Page, url: string, more: Record<string, unknown> = {}): Promise<void> {
  await page.evaluate(
    ([url, more]) => {
      const realtime = window.begin(url, 7, more);
      const [seen, states]: [number[], string[]] = [[], ['catching-up']];
      realtime.onState(() => realtime.state === states.at(-1) || states.push(realtime.state));
      const feed = realtime.feed('customer:7');
      feed.on('system_alert', ({ data }) => seen.push((data as { n: number }).n));
      const order = window.sdk.orders(realtime).watch(1);
      window.kept = { realtime, feed, seen, states, order };
    },
    [url, more] as const,
  );
}

const kept = <T>(page: Page, name: string) => page.evaluate((name) => window.kept[name] as T, name);
const stateOf = (page: Page) =>
  page.evaluate(() => (window.kept.feed as { current: { state: string } }).current.state);
const is = (page: Page, state: string) =>
  until(async () => (await stateOf(page)) === state, `it is ${state}`);
const has = (page: Page, count: number) =>
  until(async () => (await kept<number[]>(page, 'seen')).length >= count, `${count} came`);
const alerts = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, index) => ({ type: 'system.alert', data: { n: from + index } }));
const numbers = (to: number) => Array.from({ length: to }, (_, n) => n);

test('two browsers see each other write', async ({ tier, relay, tab, browser }) => {
  await tier.room('88', ['7', '31']);
  const [ada, ben] = [await tab(), await tab(await browser.newContext())];
  for (const [page, user] of [
    [ada, 7],
    [ben, 31],
  ] as const) {
    await page.evaluate(
      ([url, user]) => {
        window.kept.room = window.sdk.chat(window.begin(url, user)).room(88);
      },
      [relay.url, user] as const,
    );
  }
  const say = (page: Page, text: string) =>
    page.evaluate(
      (text) => (window.kept.room as ReturnType<ReturnType<typeof window.sdk.chat>['room']>).send(text),
      text,
    );
  const heard = (page: Page) =>
    page.evaluate(() =>
      (
        window.kept.room as ReturnType<ReturnType<typeof window.sdk.chat>['room']>
      ).current.value?.messages.map(({ content }) => content),
    );
  await say(ada, 'hello');
  await say(ben, 'hi');
  for (const page of [ada, ben]) {
    await until(async () => (await heard(page))?.length === 2, 'both came');
    expect(await heard(page)).toEqual(['hello', 'hi']);
  }
  expect(relay.sockets).toBe(2);
  await ben.context().close();
});

test('offline is seen at once, and what happened meanwhile comes when it is over', async ({
  tier,
  relay,
  tab,
}) => {
  const page = await tab();
  await tier.order('1', 1, 'PENDING');
  await listens(page, relay.url);
  await is(page, 'live');
  await page.context().setOffline(true);
  await is(page, 'offline');
  await tier.publish('customer:7', ...alerts(0, 20));
  await tier.order('1', 2, 'ACCEPTED');
  await page.context().setOffline(false);
  await is(page, 'live');
  await has(page, 20);
  expect(await kept(page, 'seen')).toEqual(numbers(20));
  expect(await kept(page, 'states')).toEqual(['catching-up', 'live', 'offline', 'catching-up', 'live']);
  const order = await page.evaluate(
    () => (window.kept.order as { current: { value: unknown } }).current.value,
  );
  expect(order).toMatchObject({ status: 'ACCEPTED', version: 2 });
});

test('an edge that is killed is caught up with when it is back', async ({ tier, relay, tab }) => {
  const page = await tab();
  await listens(page, relay.url, { fallbackMs: 300 });
  await is(page, 'live');
  await tier.publish('customer:7', ...alerts(0, 10));
  await has(page, 10);
  await tier.kill();
  await is(page, 'offline');
  await tier.start();
  await tier.publish('customer:7', ...alerts(10, 30));
  await is(page, 'live');
  await has(page, 30);
  expect(await kept(page, 'seen')).toEqual(numbers(30));
});

test('tokens that end are renewed on the way', async ({ tier, relay, tab }) => {
  const page = await tab();
  await listens(page, relay.url, { seconds: 4 });
  await is(page, 'live');
  const began = Date.now();
  let count = 0;
  // Twice the life of a token.
  while (Date.now() - began < 9_000) {
    await tier.publish('customer:7', ...alerts(count, count + 10));
    count += 10;
    await has(page, count);
  }
  expect(await kept(page, 'seen')).toEqual(numbers(count));
  expect(await kept<string[]>(page, 'states')).not.toContain('offline');
});

test('where sockets are blocked it polls, and it goes back when they work', async ({ tier, relay, tab }) => {
  relay.refusesSockets = true;
  const page = await tab();
  await tier.order('1', 1, 'PENDING');
  await listens(page, relay.url, { fallbackMs: 300 });
  await is(page, 'polling');
  await tier.publish('customer:7', ...alerts(0, 10));
  await has(page, 10);
  expect(relay.polls).toBeGreaterThan(0);
  expect(relay.sockets).toBe(0);
  relay.refusesSockets = false;
  const publishing = (async () => {
    for (let n = 10; n < 60; n += 1) await tier.publish('customer:7', ...alerts(n, n + 1));
  })();
  await is(page, 'live');
  await publishing;
  await has(page, 60);
  expect(await kept(page, 'seen')).toEqual(numbers(60));
  expect(await kept(page, 'states')).toEqual(['catching-up', 'polling', 'live']);
});

test('streams over HTTP serve where the application asks for them', async ({ tier, relay, tab }) => {
  relay.refusesSockets = true;
  const page = await tab();
  await listens(page, relay.url, { transports: ['websocket', 'http_stream', 'sse'] });
  await is(page, 'live');
  await tier.publish('customer:7', ...alerts(0, 10));
  await has(page, 10);
  expect(await kept(page, 'seen')).toEqual(numbers(10));
});
