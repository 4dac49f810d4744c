import { expect, test } from 'vitest';
import { Clock, parse } from '../../shared/moment.ts';

test('microseconds survive', () => {
  const [early, late] = [
    parse('2026-11-24T11:30:00.123456+00:00'),
    parse('2026-11-24T11:30:00.123956+00:00'),
  ];
  expect((late ?? 0) - (early ?? 0)).toBeCloseTo(0.5, 2);
  expect(parse('2026-11-24T11:30:00+00:00')).toBe(Date.UTC(2026, 10, 24, 11, 30));
  expect(parse('')).toBeUndefined();
});

test('the time there is what was told, without what the way took', () => {
  const clock = new Clock();
  expect(clock.now(1_000)).toBe(1_000);
  clock.told('1970-01-01T00:00:05.000000+00:00', 1_500);
  clock.told('1970-01-01T00:00:05.500000+00:00', 1_990);
  expect(clock.now(2_000)).toBe(5_510);
});

test('a clock that is set anew is followed', () => {
  const clock = new Clock();
  clock.told('1970-01-01T00:01:00.000000+00:00', 0);
  for (let count = 0; count < 5; count += 1) clock.told('1970-01-01T00:00:01.000000+00:00', 0);
  expect(clock.now(0)).toBe(1_000);
});
