// Who gets in, and what happens when the console goes away.

import { enter, expect, test } from './world.ts';

test('a wrong password is said to be wrong, and the right one opens the console', async ({ page, tier }) => {
  await page.goto(tier.url);
  await expect(page.getByLabel('Password')).toBeFocused();
  await page.getByLabel('Password').fill('not the password');
  await page.keyboard.press('Enter');
  await expect(page.getByRole('alert')).toHaveText('this is not the password');
  await expect(page.getByRole('navigation')).toHaveCount(0);
  await enter(page, tier);
  await expect(page.getByRole('heading', { name: 'Overview' })).toBeVisible();
});

test('a deep link asks for the password first, and then shows its view', async ({ page, tier }) => {
  await enter(page, tier, '#/settings?find=CONSOLE_ADDR');
  await expect(page.getByRole('heading', { name: 'Settings' })).toBeVisible();
  await expect(page.getByLabel('Find')).toHaveValue('CONSOLE_ADDR');
  await expect(page).toHaveTitle('Settings · PlatePal Realtime');
});

test('whoever leaves has to sign in again, also after a reload', async ({ operator, tier }) => {
  await operator.getByRole('button', { name: 'Leave' }).click();
  await expect(operator.getByLabel('Password')).toBeVisible();
  await operator.reload();
  await expect(operator.getByLabel('Password')).toBeVisible();
  const refused = await operator.request.get(`${tier.url}api/services`);
  expect(refused.status()).toBe(401);
});

test('a console that is away is said to be away, and one that began again asks for the password', async ({
  page,
  fresh,
}) => {
  await enter(page, fresh);
  await expect(page.getByRole('status').filter({ hasText: /^live$/ })).toBeVisible();
  await fresh.kill();
  await expect(page.getByText('cut, reconnecting')).toBeVisible();
  await expect(page.getByText('Not live.')).toBeVisible();
  await fresh.start();
  await expect(page.getByLabel('Password')).toBeVisible();
});

test('colours that were chosen stay chosen', async ({ operator }) => {
  const ground = () => operator.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await operator.emulateMedia({ colorScheme: 'light' });
  const light = await ground();
  await operator.getByLabel('Colours').selectOption('Dark');
  const dark = await ground();
  expect(dark).not.toBe(light);
  await operator.reload();
  await expect(operator.getByLabel('Colours')).toHaveValue('dark');
  expect(await ground()).toBe(dark);
});
