// One stream without gaps and repeats, whatever sources tell and however often they change.

import { expect, test } from 'vitest';
import { RealtimeError } from '../../src/errors.ts';
import type { Frame } from '../../src/events.ts';
import { Hub } from '../../src/hub.ts';
import type { Joined, Mark, Placed, Source } from '../../src/source.ts';
import { seeded } from './seeds.ts';

const EPOCH = 'e';
const at = (offset: number): Placed => ({
  frame: { type: 'system_alert', data: offset, event_id: `id-${offset}` },
  place: { offset, epoch: EPOCH },
});

/** A log that tells a hub all it has, with repeats, and may be slow to answer who joins. */
class Log implements Source {
  readonly told: Placed[] = [];
  readonly #hub: Hub;
  answer: (joined: () => Joined) => Promise<Joined> = async (joined) => joined();
  constructor(hub: Hub) {
    this.#hub = hub;
  }
  append(): void {
    const placed = at(this.told.length + 1);
    this.told.push(placed);
    this.#hub.frame('all', placed);
  }
  join(_: string, mark?: Mark): Promise<Joined> {
    const since = mark?.place?.offset;
    const now = { offset: this.told.length, epoch: EPOCH };
    if (since === undefined) return this.answer(() => ({ fresh: true, frames: [], mark: { place: now } }));
    return this.answer(() => ({ fresh: false, frames: this.told.slice(since) }));
  }
  drop(_channel: string): void {}
  retry(): void {}
  close(): void {}
  call(): Promise<unknown> {
    return Promise.reject(new RealtimeError('unsupported', 'no'));
  }
}

function reader() {
  const seen: unknown[] = [];
  const starts: boolean[] = [];
  const failed: RealtimeError[] = [];
  return {
    seen,
    starts,
    failed,
    start: ({ fresh }: { fresh: boolean }) => void starts.push(fresh),
    frame: ({ data }: Frame) => void seen.push(data),
    state: () => {},
    fail: (error: RealtimeError) => void failed.push(error),
  };
}

const settled = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

test('what comes while a join is asked is told after it, once', async () => {
  const hub = new Hub(() => {});
  const log = new Log(hub);
  let open = () => {};
  log.answer = (joined) => new Promise((resolve) => (open = () => resolve(joined())));
  hub.attach(log);
  const own = reader();
  hub.read('all', own);
  log.append();
  log.append();
  expect(own.seen).toEqual([]);
  open();
  await settled();
  log.append();
  expect([own.starts, own.seen]).toEqual([[true], [1, 2, 3]]);
});

test('sources that change at any time, repeat and answer late leave no gap and no repeat', async () => {
  const random = seeded();
  for (let round = 0; round < 200; round += 1) {
    const hub = new Hub(() => {});
    let log = new Log(hub);
    hub.attach(log);
    const own = reader();
    hub.read('all', own);
    await settled();
    for (let step = 0; step < 60; step += 1) {
      const dice = random();
      if (dice < 0.6) log.append();
      else if (dice < 0.7 && log.told.length)
        hub.frame('all', log.told[Math.floor(random() * log.told.length)] as Placed);
      else if (dice < 0.8) {
        // Another tab leads, which has read less or as much; its answers are late.
        const next = new Log(hub);
        next.told.push(...log.told);
        next.answer = async (joined) => {
          const early = joined();
          for (let turns = Math.floor(random() * 4); turns > 0; turns -= 1) await Promise.resolve();
          return early;
        };
        log = next;
        hub.attach(log);
      } else if (dice < 0.9) hub.attach(log);
      else await settled();
    }
    await settled();
    const all = log.told.map(({ frame }) => frame.data);
    expect(own.seen, `seed ${random.seed}, round ${round}`).toEqual(all);
  }
});

test('events that polls and sockets both bring are told once', async () => {
  const hub = new Hub(() => {});
  const log = new Log(hub);
  hub.attach(log);
  const own = reader();
  hub.read('all', own);
  await settled();
  for (const { frame } of [at(1), at(2)]) hub.frame('all', { frame });
  for (let offset = 1; offset <= 3; offset += 1) hub.frame('all', at(offset));
  expect(own.seen).toEqual([1, 2, 3]);
});

test('a channel that is refused is said to be, and a reader that throws keeps nothing from others', async () => {
  const hub = new Hub(() => {});
  const log = new Log(hub);
  log.answer = () => Promise.reject(new RealtimeError('forbidden', 'no'));
  hub.attach(log);
  const own = reader();
  hub.read('all', own);
  await settled();
  expect(own.failed).toMatchObject([{ code: 'forbidden' }]);
});

test('of a channel that nobody reads any more the source hears once', async () => {
  const hub = new Hub(() => {});
  const log = new Log(hub);
  const dropped: string[] = [];
  log.drop = (channel: string) => void dropped.push(channel);
  hub.attach(log);
  const ends = [hub.read('all', reader()), hub.read('all', reader())];
  await settled();
  for (const end of [...ends, ...ends]) end();
  expect(dropped).toEqual(['all']);
});
