import { expect, test } from 'vitest';
import type { Journey } from '../../console/answers.ts';
import { steps, traceId, whole } from '../../console/journey.ts';

const at = (millis: string) => `2026-11-24T11:30:00.${millis}+00:00`;

function journey(edges: Journey['edges']): Journey {
  const event = {
    id: 'e',
    type: 'order.accepted',
    offset: 4,
    key: '',
    published_at: at('100000'),
    kept_at: at('102500'),
    data: {},
  };
  return { channel: 'order:1', event, traceparent: '', edges, silent_edges: [] };
}

test('each step says how long after the one before it', () => {
  const heard = {
    edge: 'a',
    heard_at: at('103000'),
    readers: 2,
    written: 1,
    last_written_at: at('105000'),
  };
  const own = journey([heard]);
  const read = steps(own).map(({ kind, after }) => [
    kind,
    after === null ? null : Math.round(after * 10) / 10,
  ]);
  expect(read).toEqual([
    ['published', null],
    ['kept', 2.5],
    ['heard', 0.5],
    ['written', 2],
  ]);
  expect(whole(own)).toBeCloseTo(5, 2);
});

test('an event that no edge knows was published and kept', () => {
  expect(steps(journey([])).map(({ kind }) => kind)).toEqual(['published', 'kept']);
  expect(whole(journey([]))).toBeNull();
});

test('what was not written yet has no delay', () => {
  const heard = { edge: 'a', heard_at: at('103000'), readers: 0, written: 0, last_written_at: '' };
  expect(steps(journey([heard])).at(-1)?.after).toBeNull();
});

test('the id is found in a traceparent', () => {
  const id = '4bf92f3577b34da6a3ce929d0e0e4736';
  expect(traceId(`00-${id}-00f067aa0ba902b7-01`)).toBe(id);
  expect([traceId(''), traceId('nonsense')]).toEqual(['', '']);
});
