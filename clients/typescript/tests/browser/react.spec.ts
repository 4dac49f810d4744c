import type {} from '../page/page.tsx';
import { expect, test, until } from './world.ts';

test('hooks show what is watched, in strict mode too, and let go of it', async ({ tier, relay, tab }) => {
  await tier.order('1', 1, 'PENDING');
  await tier.order('2', 1, 'READY');
  await tier.notify('7', 'first');
  const page = await tab();
  await page.evaluate((url) => window.render(window.begin(url, 7)), relay.url);
  const order = page.locator('#order');
  await expect(page.locator('#connection')).toHaveText('live');
  await expect(order).toHaveText('PENDING n1 live alerts:0');
  await expect(page.locator('#inbox')).toHaveText('unread:1');
  await tier.order('1', 2, 'ACCEPTED');
  await tier.publish('customer:7', { type: 'system.alert', data: {} });
  await expect(order).toHaveText('ACCEPTED n2 live alerts:1');
  await page.locator('#inbox').click();
  await expect(page.locator('#inbox')).toHaveText('unread:0');

  const readers = async (channel: string) => {
    const { clients } = await tier.call('SessionsService', 'Channels', { pattern: channel });
    return ((clients ?? {}) as Record<string, number>)[channel] ?? 0;
  };
  await page.locator('#next').click();
  await expect(order).toHaveText('READY n1 live alerts:1');
  await until(async () => (await readers('order:1')) === 0, 'the first order is not followed any more');
  expect(await readers('order:2')).toBe(1);
  await page.locator('#none').click();
  await until(async () => (await readers('order:2')) === 0, 'nothing is followed');
});

test('an order of somebody else shows why there is nothing', async ({ tier, relay, tab }) => {
  await tier.order('1', 1, 'PENDING');
  const page = await tab();
  await page.evaluate((url) => window.render(window.begin(url, 8)), relay.url);
  await expect(page.locator('#order')).toHaveText('nothing offline forbidden alerts:0');
});
