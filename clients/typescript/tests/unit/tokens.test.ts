import { expect, test } from 'vitest';
import { claimsOf, Tokens } from '../../src/tokens.ts';
import { tokenFor } from '../servers.ts';

test('a token is used as long as it is good, and all who ask at once get the same', async () => {
  let asked = 0;
  const tokens = new Tokens(async () => {
    asked += 1;
    return tokenFor(7);
  });
  const [one, other] = await Promise.all([tokens.get(), tokens.get()]);
  expect([one === other, asked]).toEqual([true, 1]);
  expect(await tokens.get()).toBe(one);
  tokens.refuse('another');
  await tokens.get();
  expect(asked).toBe(1);
  tokens.refuse(one);
  expect(await tokens.get()).not.toBe(one);
  expect(asked).toBe(2);
});

test('one that is about to end is not used', async () => {
  let asked = 0;
  const tokens = new Tokens(() => tokenFor(7, {}, ++asked === 1 ? 1 : 60));
  await tokens.get();
  await tokens.get();
  await tokens.get();
  expect(asked).toBe(2);
});

test.each([[''], [() => null], [() => undefined], [async () => '']])(
  'nobody signed in is an error',
  async (source) => {
    await expect(new Tokens(source).get()).rejects.toMatchObject({ code: 'unauthorised', retryable: false });
  },
);

test('whose a token is can be read, whatever else it says, and nothing out of what is no token', () => {
  expect(claimsOf(tokenFor(7, { name: 'Åda ü' }))).toMatchObject({ user_id: 7 });
  for (const text of ['', 'a', 'a.b.c', 'a.bnVsbA.c']) expect(claimsOf(text)).toEqual({});
});

test('a refused token that is given again is an error, and not asked with for ever', async () => {
  const tokens = new Tokens(tokenFor(7));
  tokens.refuse(await tokens.get());
  await expect(tokens.get()).rejects.toMatchObject({ code: 'unauthorised' });
});
