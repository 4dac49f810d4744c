// What operators do to sessions.

import type { Page } from '@playwright/test';
import { closed } from './tier.ts';
import { expect, test } from './world.ts';

async function look(page: Page, user: string): Promise<void> {
  await page.getByRole('link', { name: 'Users' }).click();
  await page.getByLabel('User id').fill(user);
  await page.keyboard.press('Enter');
}

test('one session is disconnected and the other stays, then all are', async ({ operator, tier }) => {
  const [first, second] = [await tier.socket('31'), await tier.socket('31')];
  const [firstCode, secondCode] = [closed(first), closed(second)];
  await look(operator, '31');
  await expect(operator.getByText('2 open sessions')).toBeVisible();

  await operator
    .getByRole('button', { name: /^Disconnect session/ })
    .first()
    .click();
  const dialog = operator.getByRole('dialog');
  await expect(dialog).toContainText('The token stays good');
  await operator.keyboard.press('Escape');
  await expect(dialog).toHaveCount(0);
  expect([first.readyState, second.readyState]).toEqual([first.OPEN, second.OPEN]);

  await operator
    .getByRole('button', { name: /^Disconnect session/ })
    .first()
    .click();
  await dialog.getByRole('button', { name: 'Disconnect' }).click();
  await expect(operator.getByText('1 session ended.')).toBeVisible();
  await expect(operator.getByText('1 open session', { exact: true })).toBeVisible();
  expect(await Promise.race([firstCode, secondCode])).toBeGreaterThanOrEqual(3000);
  const open = [first, second].filter((socket) => socket.readyState === socket.OPEN);
  expect(open).toHaveLength(1);

  await operator.getByRole('button', { name: 'Disconnect all' }).click();
  await dialog.getByRole('button', { name: 'Disconnect all' }).click();
  await expect(operator.getByText('User 31 has no open session')).toBeVisible();
  await Promise.all([firstCode, secondCode]);
  expect(tier.output).toContain('an operator ends sessions');
});

test('a user who is signed out does not come back with the same token', async ({ operator, tier }) => {
  const token = await tier.token('32');
  const socket = await tier.socket('32', token);
  const code = closed(socket);
  await look(operator, '32');
  await operator.getByRole('button', { name: 'Sign out' }).click();
  await expect(operator.getByRole('dialog')).toContainText('refused for 24 hours');
  await operator.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click();
  await expect(operator.getByText('The tokens are refused from now on. 1 session ended.')).toBeVisible();
  expect(await code).toBe(4001);
  const again = tier.trySocket('32', token);
  again.on('error', () => {});
  expect(await closed(again)).not.toBe(1000);
});
