import { expect, test } from 'vitest';
import type { Sample, Service, State } from '../../console/answers.ts';
import { nameOf, peak, processorShares, withNext, worries } from '../../console/samples.ts';

function service(state: State, more: Partial<Service> = {}): Service {
  return {
    process: 'a',
    roles: ['edge'],
    version: '0.1.0',
    started_at: '',
    state,
    why: '',
    connections: 0,
    memory_bytes: 0,
    cpu_seconds: 0,
    ...more,
  };
}

function sample(second: number, more: Partial<Sample> = {}): Sample {
  const none = { p50: null, p99: null };
  return {
    at: new Date(second * 1000).toISOString(),
    connections: second,
    subscriptions: 0,
    rates: {
      published: 0,
      appended: 0,
      delivered: 0,
      handshakes: 0,
      messages: 0,
      replayed: 0,
      conflated: 0,
      slow_closes: 0,
      errors: 0,
    },
    delays: { publish: none, deliver: none, outbox: none, append: none },
    outbox_waiting: 0,
    services: [],
    ...more,
  };
}

test('the newest remembered sample, which comes twice, is there once', () => {
  const samples = withNext([sample(1), sample(2)], sample(2), 3);
  expect(samples.map((own) => own.connections)).toEqual([1, 2]);
});

test('samples are as many as the console remembers, and no fewer than a quarter of an hour of them', () => {
  const many = Array.from({ length: 600 }, (_, index) => sample(index));
  expect(withNext(many, sample(600), 10)).toHaveLength(450);
  expect(withNext(many, sample(600), 500)).toHaveLength(500);
  expect(withNext(many, sample(600), 10).at(-1)?.connections).toBe(600);
});

test('a peak is of what was measured', () => {
  expect(peak([sample(3), sample(9), sample(5)], (own) => own.connections)).toBe(9);
  expect(peak([sample(3)], (own) => own.delays.publish.p99)).toBeNull();
});

test('a share of a processor is of the last minute', () => {
  const at = (cpu: number) => [service('ready', { cpu_seconds: cpu })];
  const shares = processorShares([sample(0, { services: at(1) }), sample(2, { services: at(2) })]);
  expect(shares).toEqual(new Map([['a', 0.5]]));
  const longer = [0, 60, 120].map((second) => sample(second, { services: at(second === 120 ? 49 : 1) }));
  expect(processorShares(longer)).toEqual(new Map([['a', 0.8]]));
  expect(processorShares([sample(0)])).toEqual(new Map());
});

test('a process that has just begun has no share yet', () => {
  const shares = processorShares([sample(0), sample(2, { services: [service('ready')] })]);
  expect(shares.size).toBe(0);
});

test('the worst comes first', () => {
  const all = [service('ready'), service('draining'), service('silent', { roles: ['chat'] })];
  expect(worries(all).map(nameOf)).toEqual(['chat', 'edge']);
});
