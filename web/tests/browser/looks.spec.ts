// Every view, on a phone and on a desk, dark and light: can everybody read it, and does it fit?

import { randomUUID } from 'node:crypto';
import AxeBuilder from '@axe-core/playwright';
import { enter, expect, test } from './world.ts';

const EVENT = randomUUID();
const VIEWS = {
  overview: '#/',
  channels: '#/channels',
  channel: '#/channels/customer%3A41',
  event: `#/event?id=${EVENT}&channel=customer:41`,
  'event-none': '#/event',
  user: '#/users/41',
  'user-none': '#/users/42',
  outbox: '#/outbox',
  settings: '#/settings',
};
const SIZES = { phone: { width: 360, height: 740 }, desk: { width: 1366, height: 850 } };

for (const colorScheme of ['light', 'dark'] as const) {
  for (const [size, viewport] of Object.entries(SIZES)) {
    test(`${size}, ${colorScheme}`, async ({ page, tier }, info) => {
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.setViewportSize(viewport);
      // What it looks at, colours and names, does not depend on both at once.
      const isRead = (size === 'phone') === (colorScheme === 'dark');
      const read = async (name: string) => {
        const { violations } = await new AxeBuilder({ page }).analyze();
        expect.soft(violations.map(({ id, nodes }) => [name, id, nodes.map(({ html }) => html)])).toEqual([]);
      };
      const check = async (name: string) => {
        if (isRead) await read(name);
        const wider = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
        expect.soft(wider, `${name} is wider than the window`).toBeLessThanOrEqual(0);
        const path = info.outputPath(`${name}.png`);
        await page.screenshot({ path, fullPage: true });
      };
      await page.goto(tier.url);
      await expect(page.getByLabel('Password')).toBeVisible();
      await check('sign-in');

      await tier.socket('41');
      await tier.publish('customer:41', 'order.accepted', { id: 5012, status: 'ACCEPTED' }, EVENT);
      await enter(page, tier);
      await expect(page.locator('.tile').first()).toContainText('peak');
      for (const [name, hash] of Object.entries(VIEWS)) {
        await page.goto(tier.url + hash);
        await expect(page.locator('main h1')).toBeVisible();
        await expect(page.locator('.loading')).toHaveCount(0);
        await check(name);
      }
      await page.goto(`${tier.url}#/users/41`);
      await page.getByRole('button', { name: 'Sign out' }).click();
      await expect(page.getByRole('dialog')).toBeVisible();
      await check('dialog');
    });
  }
}

test('the keyboard reaches the content at once', async ({ operator }) => {
  await operator.keyboard.press('Tab');
  await expect(operator.getByRole('button', { name: 'Skip to content' })).toBeFocused();
  await operator.keyboard.press('Enter');
  await expect(operator.locator('main')).toBeFocused();
});
