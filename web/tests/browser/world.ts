// What every test has: a tier, a page that is signed in, and the certainty that nothing went wrong in it unseen.

import { test as base, type Page } from '@playwright/test';
import { PASSWORD, Tier } from './tier.ts';

export { expect } from '@playwright/test';

interface World {
  /** Another tier, of which nothing has been seen yet, and which may be ended. */
  fresh: Tier;
  /** A page that is signed in, at the overview. */
  operator: Page;
}

interface Shared {
  tier: Tier;
}

export const test = base.extend<World, Shared>({
  tier: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads from it what is needed
    async ({}, use) => {
      const tier = await Tier.start();
      await use(tier);
      await tier.close();
    },
    { scope: 'worker' },
  ],
  // biome-ignore lint/correctness/noEmptyPattern: Playwright reads from it what is needed
  fresh: async ({}, use) => {
    const tier = await Tier.start();
    await use(tier);
    await tier.close();
  },
  page: async ({ page, tier }, use) => {
    const wrong: string[] = [];
    page.on('pageerror', (error) => wrong.push(`${error}`));
    // Also what the policy of the page's origin does not allow.
    page.on('console', (message) => {
      const text = message.text();
      if (message.type() === 'error' && !text.startsWith('Failed to load resource')) wrong.push(text);
    });
    page.on('request', (request) => {
      const url = request.url();
      if (!url.startsWith('data:') && new URL(url).hostname !== '127.0.0.1') wrong.push(`asked ${url}`);
    });
    await use(page);
    tier.hangUp();
    base.expect(wrong).toEqual([]);
  },
  operator: async ({ page, tier }, use) => {
    await enter(page, tier);
    await use(page);
  },
});

export async function enter(page: Page, tier: Tier, hash = ''): Promise<void> {
  await page.goto(tier.url + hash);
  await page.getByLabel('Password').fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await base.expect(page.getByRole('navigation', { name: 'Views' })).toBeVisible();
}
