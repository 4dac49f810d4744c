import { expect, test } from 'vitest';
import { backoffMs, type Facts, mustPoll, type State, stateOf } from '../../src/state.ts';

const facts = (more: Partial<Facts> = {}): Facts => ({
  online: true,
  sockets: 'connecting',
  overdue: false,
  polls: 'unknown',
  ...more,
});

// The table of the README.
test.each<[State, boolean, Partial<Facts>]>([
  ['catching-up', false, {}],
  ['live', false, { sockets: 'connected' }],
  ['live', false, { sockets: 'connected', polls: 'failed' }],
  ['catching-up', true, { overdue: true }],
  ['polling', true, { overdue: true, polls: 'answered' }],
  ['offline', true, { overdue: true, polls: 'failed' }],
  ['offline', false, { overdue: true, polls: 'never' }],
  ['catching-up', false, { polls: 'never' }],
  ['catching-up', true, { sockets: 'off' }],
  ['polling', true, { sockets: 'off', polls: 'answered' }],
  ['offline', false, { sockets: 'off', polls: 'never' }],
  ['offline', false, { online: false }],
  ['offline', false, { online: false, sockets: 'connected', polls: 'answered' }],
])('%s (polls: %s) of %o', (state, polls, more) => {
  expect([stateOf(facts(more)), mustPoll(facts(more))]).toEqual([state, polls]);
});

test('waits double, have jitter, and end at the most', () => {
  for (let attempt = 0; attempt < 40; attempt += 1) {
    const whole = Math.min(30_000, 1_000 * 2 ** attempt);
    const wait = backoffMs(attempt, 1_000, 30_000);
    expect(wait).toBeGreaterThanOrEqual(whole / 2);
    expect(wait).toBeLessThanOrEqual(whole);
  }
});
