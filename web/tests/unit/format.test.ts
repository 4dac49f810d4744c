import { expect, test } from 'vitest';
import { ago, bytes, count, delay, many, rate, span, step } from '../../shared/format.ts';

test('counts and rates read as people say them', () => {
  expect([count(0), count(12_034)]).toEqual(['0', '12,034']);
  expect([rate(0), rate(0.01), rate(3.44), rate(1204.4), rate(35_230)]).toEqual([
    '0',
    '<0.1',
    '3.4',
    '1,204',
    '35.2K',
  ]);
  expect([many(1, 'event'), many(2, 'event'), many(0, 'process', 'processes')]).toEqual([
    '1 event',
    '2 events',
    '0 processes',
  ]);
});

test('delays have the digits that matter', () => {
  const read = [0, 0.004, 0.424, 4.24, 9.96, 424, 1240, 180_000].map(delay);
  expect(read).toEqual(['0 ms', '<0.01 ms', '0.42 ms', '4.2 ms', '10 ms', '424 ms', '1.2 s', '3 min']);
  expect([delay(null), delay(undefined)]).toEqual(['–', '–']);
});

test('a step back in time is said to be one', () => {
  expect([step(0.42), step(-3.1)]).toEqual(['+0.42 ms', '−3.1 ms']);
});

test('sizes never read 1024 of a unit', () => {
  const read = [0, 512, 1023, 1024, 1_572_864, 398_458_880, 1_048_575].map(bytes);
  expect(read).toEqual(['0 B', '512 B', '1023 B', '1.0 KiB', '1.5 MiB', '380 MiB', '1.0 MiB']);
});

test('spans have two units at most', () => {
  const hour = 3_600_000;
  const read = [0, 59_999, 60_000, hour, hour * 2.5, hour * 24, hour * 76].map(span);
  expect(read).toEqual(['0 s', '59 s', '1 min', '1 h', '2 h 30 min', '1 d', '3 d 4 h']);
});

test('ages look both ways', () => {
  expect([ago(400), ago(-400), ago(3_000), ago(-7_200_000)]).toEqual(['now', 'now', '3 s ago', 'in 2 h']);
});
