import type { Page } from '@playwright/test';
import type {} from '../page/page.tsx';
import { expect, test, until } from './world.ts';

async function follows(page: Page, url: string): Promise<void> {
  await page.evaluate((url) => {
    const realtime = window.begin(url, 7);
    const seen: number[] = [];
    const feed = realtime.feed('customer:7');
    feed.on('system_alert', ({ data }) => seen.push((data as { n: number }).n));
    window.kept = { realtime, feed, seen, order: window.sdk.orders(realtime).watch(1) };
  }, url);
}

const seen = (page: Page) => page.evaluate(() => window.kept.seen as number[]);
const isLive = (page: Page) =>
  until(
    async () =>
      page.evaluate(() => (window.kept.feed as { current: { state: string } }).current.state === 'live'),
    'it is live',
  );
const version = (page: Page) =>
  page.evaluate(
    () => (window.kept.order as { current: { value?: { version: number } } }).current.value?.version,
  );
const alert = (n: number) => ({ type: 'system.alert', data: { n } });
const numbers = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

test('tabs share one connection, and whoever comes later has the state at once', async ({
  tier,
  relay,
  tab,
}) => {
  await tier.order('1', 1, 'PENDING');
  const pages = [await tab(), await tab(), await tab()];
  for (const page of pages) {
    await follows(page, relay.url);
    await isLive(page);
    await until(async () => (await version(page)) === 1, 'the order is there');
  }
  expect(relay.sockets).toBe(1);
  await tier.order('1', 2, 'ACCEPTED');
  await tier.publish('customer:7', alert(0));
  for (const page of pages) {
    await until(async () => (await version(page)) === 2, 'version 2 came');
    await until(async () => (await seen(page)).length === 1, 'the alert came');
  }
  const late = await tab();
  await follows(late, relay.url);
  await until(async () => (await version(late)) === 2, 'a late tab has version 2');
  expect(relay.sockets).toBe(1);
  expect(await seen(late)).toEqual([]);
});

test('when the leading tab goes another goes on without gap or repeat', async ({ tier, relay, tab }) => {
  await tier.order('1', 1, 'PENDING');
  const pages: Page[] = [];
  for (let count = 0; count < 4; count += 1) {
    const page = await tab();
    await follows(page, relay.url);
    await isLive(page);
    pages.push(page);
  }
  const published = 120;
  const publishing = (async () => {
    for (let n = 0; n < published; n += 1) await tier.publish('customer:7', alert(n));
  })();
  // Three leaders, one after the other, each in the middle of it: the first comes first.
  for (const leader of pages.slice(0, 2)) {
    const before = (await seen(leader)).length;
    await until(async () => (await seen(leader)).length > before + 5, 'events flow');
    await leader.close();
  }
  await publishing;
  for (const page of pages.slice(2)) {
    await until(async () => (await seen(page)).length >= published, 'all came');
    expect(await seen(page)).toEqual(numbers(0, published));
    await isLive(page);
  }
  expect(relay.sockets).toBe(1);
  await tier.order('1', 2, 'ACCEPTED');
  for (const page of pages.slice(2)) await until(async () => (await version(page)) === 2, 'version 2 came');
});

test('what only a closed tab has read is not followed any more', async ({ tier, relay, tab }) => {
  const [leader, other] = [await tab(), await tab()];
  await tier.order('77', 1, 'PENDING');
  for (const page of [leader, other]) {
    await follows(page, relay.url);
    await isLive(page);
  }
  await other.evaluate(() =>
    window.sdk
      .orders(window.kept.realtime as InstanceType<typeof window.sdk.Realtime>)
      .watch(77)
      .ready(),
  );
  const readers = async () => {
    const { clients } = await tier.call('SessionsService', 'Channels', { pattern: 'order:77' });
    return ((clients ?? {}) as Record<string, number>)['order:77'] ?? 0;
  };
  expect(await readers()).toBe(1);
  await other.close();
  await until(async () => (await readers()) === 0, 'nobody reads it');
});

test('a tab calls over the one that leads, and is told when that goes', async ({ tier, relay, tab }) => {
  await tier.room('88', ['7']);
  const [leader, other] = [await tab(), await tab()];
  for (const page of [leader, other]) {
    await follows(page, relay.url);
    await isLive(page);
  }
  const sent = await other.evaluate(async () => {
    const room = window.sdk.chat(window.kept.realtime as InstanceType<typeof window.sdk.Realtime>).room(88);
    window.kept.room = room;
    return (await room.send('from a follower')).message.content;
  });
  expect(sent).toBe('from a follower');
  // One is on its way while the leader goes: it is sent again by itself, and is there once.
  const sending = other.evaluate(async () =>
    (window.kept.room as ReturnType<ReturnType<typeof window.sdk.chat>['room']>).send('and another'),
  );
  await leader.close();
  await sending;
  const texts = await other.evaluate(async () =>
    (window.kept.room as ReturnType<ReturnType<typeof window.sdk.chat>['room']>).current.value?.messages.map(
      ({ content }) => content,
    ),
  );
  expect(texts).toEqual(['from a follower', 'and another']);
});

test('a leading tab that the browser freezes is replaced, and goes on as any other when it wakes', async ({
  tier,
  relay,
  tab,
}) => {
  const [leader, other] = [await tab(), await tab()];
  await tier.order('1', 1, 'PENDING');
  for (const page of [leader, other]) {
    await follows(page, relay.url);
    await isLive(page);
  }
  const devtools = await leader.context().newCDPSession(leader);
  // As a browser does it with tabs in the background: at its next statement, and until further notice.
  await devtools.send('Debugger.enable');
  await devtools.send('Debugger.pause');
  // Somebody asks something there, and gets no answer.
  await tier.order('78', 1, 'READY');
  const status = await other.evaluate(
    async () =>
      (
        await window.sdk
          .orders(window.kept.realtime as InstanceType<typeof window.sdk.Realtime>)
          .watch(78)
          .ready()
      ).status,
  );
  expect(status).toBe('READY');
  await isLive(other);
  await tier.publish('customer:7', alert(0), alert(1));
  await until(async () => (await seen(other)).length === 2, 'both came');
  expect(relay.sockets).toBe(2);
  await devtools.send('Debugger.resume');
  await devtools.send('Debugger.disable');
  await isLive(leader);
  await tier.publish('customer:7', alert(2));
  for (const page of [leader, other]) {
    await until(async () => (await seen(page)).length === 3, 'all came');
    expect(await seen(page)).toEqual([0, 1, 2]);
  }
  await until(() => relay.sockets === 1, 'one connection is left');
});

test('what changes of a menu while its leader goes is there in the tab that goes on', async ({
  tier,
  relay,
  tab,
}) => {
  const says = (items: object[]) =>
    tier.publish('menu:12', { type: 'menu.updated', data: { restaurant_id: 12, items } });
  await says([{ item_id: 501, is_available: false }]);
  const pages = [await tab(), await tab(), await tab()];
  for (const page of pages) {
    await follows(page, relay.url);
    await isLive(page);
    await page.evaluate(async () => {
      const realtime = window.kept.realtime as InstanceType<typeof window.sdk.Realtime>;
      const menu = window.sdk.menu(realtime).watch(12);
      await menu.ready();
      window.kept.menu = menu;
    });
  }
  const available = (page: Page) =>
    page.evaluate(() => {
      const { value } = (window.kept.menu as ReturnType<ReturnType<typeof window.sdk.menu>['watch']>).current;
      return [501, 502].map((id) => window.sdk.isAvailable(value, id));
    });
  for (const page of pages) expect(await available(page)).toEqual([false, true]);
  const [leader, ...others] = pages;
  await Promise.all([
    leader?.close(),
    says([
      { item_id: 501, is_available: true },
      { item_id: 502, is_available: false },
    ]),
  ]);
  for (const page of others) {
    await until(async () => (await available(page)).join() === 'true,false', 'the change came');
    await isLive(page);
  }
});
