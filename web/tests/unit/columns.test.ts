import { expect, test } from 'vitest';
import { alone, columns, newest, usualStep } from '../../shared/columns.ts';

const row = (at: number, value: number | null = at) => ({ at, value });
const of = (...rows: ReturnType<typeof row>[]) => columns(rows, ({ at }) => at, [({ value }) => value]);

test('rows become columns', () => {
  expect(of()).toEqual([[], []]);
  expect(of(row(0), row(2, null), row(4))).toEqual([
    [0, 2, 4],
    [0, null, 4],
  ]);
});

test('a line is broken where samples are missing', () => {
  expect(of(row(0), row(2), row(4), row(60), row(62))).toEqual([
    [0, 2, 4, 6, 60, 62],
    [0, 2, 4, null, 60, 62],
  ]);
});

test('a pause does not count as the usual step', () => {
  expect(usualStep([0, 2, 4, 100])).toBe(2);
  expect(usualStep([5])).toBeUndefined();
});

test('values without neighbours are drawn as dots', () => {
  expect(alone([1, null, 2, null, 3, 4, undefined, 5])).toEqual([0, 2, 7]);
  expect(alone([])).toEqual([]);
});

test('the newest value is that of the newest sample, measured or not', () => {
  expect([newest([1, 2]), newest([1, null]), newest([]), newest(undefined)]).toEqual([2, null, null, null]);
});
