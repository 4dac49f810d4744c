import { expect, test } from 'vitest';
import { compared, found } from '../../console/compare.ts';

const setting = (name: string, value: string, source = 'default') => ({ name, value, source });
const ALL = compared([
  { process: 'a', roles: ['edge'], settings: [setting('B', '1'), setting('A', 'x', 'environment')] },
  { process: 'b', roles: ['chat'], settings: [setting('B', '2', 'environment'), setting('C', '', 'unset')] },
]);

test('processes that differ are told apart, and those that lack a setting do not differ', () => {
  expect(ALL.map((own) => [own.name, own.isDifferent, own.isChanged])).toEqual([
    ['A', false, true],
    ['B', true, true],
    ['C', false, false],
  ]);
  expect(ALL[1]?.values).toEqual([
    { value: '1', source: 'default', processes: ['a'] },
    { value: '2', source: 'environment', processes: ['b'] },
  ]);
});

test('the same value from elsewhere is no difference', () => {
  const both = compared([
    { process: 'a', roles: [], settings: [setting('A', '1')] },
    { process: 'b', roles: [], settings: [setting('A', '1', 'environment')] },
  ]);
  expect(both[0]?.isDifferent).toBe(false);
});

test('what is looked for is in the name or in a value', () => {
  const names = (text: string, onlyChanged = false) => found(ALL, text, onlyChanged).map((own) => own.name);
  expect(names('')).toEqual(['A', 'B', 'C']);
  expect(names('b 2')).toEqual(['B']);
  expect(names('', true)).toEqual(['A', 'B']);
  expect(names('nothing')).toEqual([]);
});
