// What operators look at.

import { randomUUID } from 'node:crypto';
import type { Page } from '@playwright/test';
import { PASSWORD, SECRET } from './tier.ts';
import { enter, expect, test } from './world.ts';

const tile = (page: Page, name: string) =>
  page.locator('.tile').filter({ has: page.getByText(name, { exact: true }) });

test('numbers and plots move while something happens', async ({ page, fresh: tier }) => {
  await enter(page, tier);
  await expect(tile(page, 'Connections').locator('.tile-value')).toHaveText('0');
  await tier.socket('7');
  await tier.socket('8');
  await expect(tile(page, 'Connections').locator('.tile-value')).toHaveText('2');
  await tier.publish('customer:7', 'order.accepted', { id: 1 }, randomUUID());
  await expect(tile(page, 'Published / s')).toContainText(/peak (?!0 )/);
  await expect(tile(page, 'Delivered / s')).toContainText(/peak (?!0 )/);
  await expect(tile(page, 'Deliver p99')).toContainText(/peak .* m?s in/);
  await expect(
    page.getByRole('img', { name: /^Connections: connections 2, channels followed/ }),
  ).toBeVisible();
  await expect(page.locator('canvas')).toHaveCount(8);
  tier.hangUp();
  await expect(tile(page, 'Connections').locator('.tile-value')).toHaveText('0');
});

test('every role of the process is ready', async ({ operator }) => {
  const services = operator.getByRole('table', { name: 'Services' });
  await expect(services.getByRole('row')).toHaveCount(2);
  const row = services.getByRole('row').nth(1);
  for (const role of ['edge', 'gateway', 'orders', 'tracking', 'chat', 'notifications', 'menus']) {
    await expect(row.getByText(role, { exact: true })).toBeVisible();
  }
  await expect(row.getByText('ready', { exact: true })).toBeVisible();
  await expect(row.getByText(/MiB$/)).toBeVisible();
  await expect(operator.locator('.banner .note')).toHaveCount(0);
});

test('an event is followed from its channel to the socket', async ({ operator, tier }) => {
  const socket = await tier.socket('21');
  const heard = new Promise<string>((resolve) => socket.once('message', (data) => resolve(`${data}`)));
  const id = randomUUID();
  await tier.publish('customer:21', 'order.accepted', { id: 5012, note: 'no onions' }, id);
  expect(await heard).toContain('no onions');

  await operator.getByRole('link', { name: 'Channels' }).click();
  await operator.getByLabel('Pattern').fill('customer:2*');
  await expect(operator).toHaveURL(/pattern=customer/);
  await operator.getByRole('link', { name: 'customer:21', exact: true }).click();
  await expect(operator.getByRole('heading', { name: 'customer:21' })).toBeFocused();

  await operator.locator('summary').first().click();
  await expect(operator.getByRole('group', { name: 'Payload of order.accepted' })).toContainText(
    '"note": "no onions"',
  );
  await operator.getByRole('link', { name: `Journey of order.accepted ${id}` }).click();

  const steps = operator.locator('.way > li');
  await expect(steps).toHaveCount(4);
  await expect(steps.nth(0)).toContainText('Published');
  await expect(steps.nth(1)).toContainText(/Kept on the bus.*ms after publishing/);
  await expect(steps.nth(2)).toContainText(/Heard by edge .*after keeping/);
  await expect(steps.nth(3)).toContainText(/Written to 1 of 1 connection.*after hearing/);
  await expect(operator.getByRole('group', { name: 'Payload', exact: true })).toContainText('5012');
});

test('an event is found by its id alone, and one that is nowhere in the words of the backend', async ({
  operator,
  tier,
}) => {
  await tier.socket('22');
  const id = randomUUID();
  await tier.publish('customer:22', 'order.accepted', { id: 1 }, id);
  await operator.getByRole('link', { name: 'Events' }).click();
  await operator.getByLabel('Event id').fill(id);
  await operator.getByRole('button', { name: 'Follow' }).click();
  await expect(operator.getByRole('link', { name: 'customer:22' })).toBeVisible();
  await operator.getByLabel('Event id').fill(randomUUID());
  await operator.getByRole('button', { name: 'Follow' }).click();
  await expect(operator.getByRole('alert')).toContainText('no channel that is read keeps it');
});

test('the outbox says how to turn it on, and then what waits', async ({ operator, tier }) => {
  await operator.getByRole('link', { name: 'Outbox' }).click();
  await expect(operator.getByText('realtime_relay')).toBeVisible();
  await tier.reportOutbox('platepal', 12, 2);
  const row = operator.getByRole('row', { name: /platepal/ });
  await expect(row.getByRole('cell').nth(1)).toHaveText('12');
  await expect(row.getByRole('cell').nth(3)).toHaveText('2');
  await expect(row.getByRole('cell').nth(5)).toHaveText(/now|ago/);
  await expect(operator.getByText('holds 2 dead letters')).toBeVisible();
});

test('settings are shown without secrets, and found', async ({ operator, tier }) => {
  await operator.getByRole('link', { name: 'Settings' }).click();
  const table = operator.getByRole('table', { name: 'Settings' });
  await expect(table).toBeVisible();
  const answer = await operator.request.get(`${tier.url}api/settings`);
  for (const text of [await answer.text(), await operator.content()]) {
    expect(text).not.toContain(SECRET);
    expect(text).not.toContain(PASSWORD);
  }
  await operator.getByLabel('Find').fill('console password');
  await expect(table.getByRole('row')).toHaveCount(2);
  await expect(table.getByRole('row').nth(1)).toContainText('environment');
  await operator.getByLabel('Find').fill('');
  await operator.getByLabel('Only what is not the default').check();
  await expect(table.locator('[data-source="default"]')).toHaveCount(0);
  await expect(operator).toHaveURL(/changed=yes/);
});

test('an address of nothing says so', async ({ operator }) => {
  await operator.evaluate(() => {
    location.hash = '#/nowhere';
  });
  await expect(operator.getByRole('heading', { name: 'Not found' })).toBeVisible();
});
