// One connection that heals: sockets, polls where sockets can't be had, and back.
//
// Owns what is followed, from which place, and the one state that follows from sockets, polls and the network. Must never know a
// domain but for how its snapshot is asked for.

import { RealtimeError, unlessRetryable } from './errors.ts';
import type { Frame } from './events.ts';
import type { SnapshotKind } from './generated/catalogue.ts';
import { payloadOf } from './payloads/envelope.ts';
import { type Polled, type PollSettings, Polls } from './polls.ts';
import { type SocketSettings, Sockets } from './sockets.ts';
import {
  Deferred,
  isSnapshot,
  type Joined,
  type Mark,
  type Place,
  type Placed,
  type Sink,
  type Source,
  sinceOf,
} from './source.ts';
import { type Facts, mustPoll, stateOf } from './state.ts';

export interface HealingSettings extends SocketSettings, PollSettings {
  /** False: sockets are never tried. */
  sockets: boolean;
  /** False: nothing is polled. */
  polls: boolean;
  /** Django's health view: says whether realtime is on, and how often to poll. */
  health?: string;
  /** How long sockets may be missing before polls begin, in milliseconds. */
  fallbackMs: number;
}

/** How a newcomer to an open channel gets its state. `byValues`: what changes it is not recovered, so whoever comes back gets it, too. */
const SNAPSHOTS: Record<SnapshotKind, readonly [method: string, argument: string, byValues: boolean]> = {
  order: ['orders.get', 'order_id', false],
  menu: ['menus.get', 'restaurant_id', true],
};

const snapshotOf = (channel: string) => SNAPSHOTS[channel.split(':')[0] as keyof typeof SNAPSHOTS];
/** Sockets that the tier ended for good are tried again after so long, in milliseconds. */
const AGAIN_MS = 30_000;

interface Followed {
  started: Deferred<void>;
  hasStarted: boolean;
  /** Frames since here were told. */
  from?: Place;
  /** Up to where it was told: by socket, and by polls since. */
  mark: Mark;
  /** As long as nothing has happened since. */
  snapshot?: Frame;
  /** The newest values, by their key. */
  values: Map<string, Frame>;
  isUp: boolean;
  /** What came by socket while a last poll is made. */
  held?: Placed[];
}

/** The key by which values of a channel replace each other. */
function keyOf(frame: Frame): string {
  const data = payloadOf(frame.data as Record<string, unknown>) ?? {};
  return String(data.rider_id ?? data.item_id ?? data.user_id ?? '');
}

export class Healing implements Source {
  readonly #settings: HealingSettings;
  readonly #sink: Sink;
  readonly #sockets: Sockets | undefined;
  readonly #polls: Polls;
  readonly #channels = new Map<string, Followed>();
  readonly #facts: Facts;
  readonly #ended = new AbortController();
  #error: RealtimeError | undefined;
  #overdue: ReturnType<typeof setTimeout> | undefined;
  #again: ReturnType<typeof setTimeout> | undefined;
  #health: ReturnType<typeof setTimeout> | undefined;
  /** Django says that realtime is off. */
  #isPaused = false;

  constructor(settings: HealingSettings, sink: Sink) {
    this.#settings = settings;
    this.#sink = sink;
    const online = globalThis.navigator?.onLine !== false;
    this.#facts = { online, sockets: 'off', overdue: false, polls: settings.polls ? 'unknown' : 'never' };
    this.#polls = new Polls(settings, {
      answered: (channel, polled) => this.#answered(channel, polled),
      failed: (error) => this.#change({ polls: 'failed' }, error),
      refused: (channel, error) => this.#fail(channel, error),
    });
    if (settings.sockets) this.#sockets = this.#open();
    const { signal } = this.#ended;
    for (const word of ['online', 'offline']) {
      globalThis.addEventListener?.(word, () => this.#change({ online: word === 'online' }), { signal });
    }
    this.#sockets?.connect();
    this.#change({});
    void this.#askHealth();
  }

  async join(channel: string, mark?: Mark): Promise<Joined> {
    const known = this.#channels.get(channel);
    const followed = known ?? this.#follow(channel, mark);
    const isEarly = !followed.hasStarted;
    const now = { ...followed.mark };
    await followed.started.promise;
    const place = mark?.place;
    // Whoever asked before the start is told all that came since the place where it began.
    const { from } = followed;
    const byValues = snapshotOf(channel)?.[2];
    if (place && isEarly && from?.epoch === place.epoch && from.offset <= place.offset)
      return { fresh: false, frames: [], snapshot: byValues ? followed.snapshot : undefined };
    const missed = mark && (await this.#missed(channel, mark).catch(unlessRetryable));
    if (missed && !byValues) return { fresh: false, frames: missed };
    const frames = [...followed.values.values()].map((frame) => ({ frame }));
    const snapshot = await this.#snapshot(channel, followed, isEarly);
    if (missed) return { fresh: false, snapshot, frames: [...missed, ...frames] };
    return { fresh: true, snapshot, frames, mark: isEarly ? { ...followed.mark, place: from } : now };
  }

  drop(channel: string): void {
    const followed = this.#channels.get(channel);
    if (!followed) return;
    this.#channels.delete(channel);
    this.#polls.remove(channel);
    this.#sockets?.unfollow(channel);
  }

  async call(method: string, data: unknown): Promise<unknown> {
    if (this.#sockets && this.#facts.sockets !== 'off') return this.#sockets.call(method, data);
    throw new RealtimeError(
      'unavailable',
      `${method} needs a socket, and there is none`,
      this.#settings.sockets,
    );
  }

  retry(): void {
    clearTimeout(this.#again);
    this.#sockets?.connect();
  }

  close(): void {
    this.#ended.abort();
    for (const timer of [this.#overdue, this.#again, this.#health]) clearTimeout(timer);
    this.#polls.stop();
    this.#channels.clear();
    this.#sockets?.disconnect();
  }

  #open(): Sockets {
    return new Sockets(this.#settings, {
      connecting: () => {
        this.#error = undefined;
        this.#change({ sockets: 'connecting' });
      },
      connected: () => {
        this.#error = undefined;
        this.#change({ sockets: 'connected', overdue: false });
      },
      disconnected: (error, mayRetry) => {
        this.#change({ sockets: 'off' }, error);
        if (error && mayRetry && !this.#ended.signal.aborted)
          this.#again = setTimeout(() => this.retry(), AGAIN_MS);
      },
      problem: (error) => {
        this.#error = error;
      },
      subscribed: (channel, place, recovered, data) => void this.#subscribed(channel, place, recovered, data),
      subscribing: (channel) => this.#up(channel, false),
      refused: (channel, error) => this.#fail(channel, error),
      frame: (channel, placed) => {
        const followed = this.#channels.get(channel);
        if (followed?.held) followed.held.push(placed);
        else if (followed) this.#tell(channel, followed, placed, !placed.place);
      },
    });
  }

  #follow(channel: string, mark?: Mark): Followed {
    const from = mark?.place;
    const followed: Followed = {
      started: new Deferred(),
      hasStarted: false,
      from,
      mark: { ...mark },
      values: new Map(),
      isUp: false,
    };
    this.#channels.set(channel, followed);
    this.#sockets?.follow(channel, from);
    this.#change({});
    if (!this.#sockets && !this.#settings.polls) {
      this.#fail(channel, new RealtimeError('unsupported', 'sockets and polls are off'));
    }
    return followed;
  }

  /** What came after a mark. Rejects when that is not known any more. */
  async #missed(channel: string, mark: Mark): Promise<Placed[]> {
    const bySocket = this.#facts.sockets === 'connected' || !this.#settings.polls;
    if (mark.place && bySocket && this.#sockets) return this.#sockets.history(channel, mark.place);
    const since = sinceOf(mark);
    const { frames } = await this.#polls.once(channel, since);
    if (frames.some(isSnapshot)) throw new RealtimeError('not_found', 'too old');
    return frames.map((frame) => ({ frame }));
  }

  async #snapshot(channel: string, followed: Followed, isEarly: boolean): Promise<Frame | undefined> {
    if (isEarly && followed.snapshot) return followed.snapshot;
    const known = snapshotOf(channel);
    if (!known) return undefined;
    const [kind, id] = channel.split(':');
    try {
      if (this.#facts.sockets !== 'connected')
        return (await this.#polls.once(channel, undefined)).frames.find(isSnapshot);
      const [method, argument] = known;
      return { type: `${kind}_snapshot`, data: await this.call(method, { [argument]: id }) };
    } catch (why) {
      // Nothing is known of it yet: what happens makes its state.
      return unlessRetryable(why);
    }
  }

  async #subscribed(
    channel: string,
    place: Place | undefined,
    recovered: boolean,
    data: Frame | undefined,
  ): Promise<void> {
    const followed = this.#channels.get(channel);
    if (!followed) return;
    const { hasStarted, mark: before } = followed;
    this.#polls.remove(channel);
    followed.mark = { place: before.place };
    if (!recovered) {
      followed.mark = { place };
      followed.from = place;
      followed.values.clear();
      followed.snapshot = data;
      // Whoever has read by polls goes on from there, unless a state is given.
      if (hasStarted && !data) await this.#lastPoll(channel, followed, sinceOf(before));
      else if (hasStarted) this.#sink.restart(channel, { fresh: true, snapshot: data });
    } else if (data) {
      followed.snapshot = data;
      if (hasStarted) this.#sink.restart(channel, { fresh: false, snapshot: data });
    }
    this.#started(followed);
    this.#up(channel, true);
  }

  /** Sockets are attached; a poll brings what came between the last one and that. Until then nothing of theirs is told. */
  async #lastPoll(channel: string, followed: Followed, since: string | undefined): Promise<void> {
    followed.held = [];
    const polled =
      since && this.#settings.polls
        ? await this.#polls.once(channel, since).catch(() => undefined)
        : undefined;
    if (this.#channels.get(channel) !== followed) return;
    if (polled) for (const frame of polled.frames) this.#tellPolled(channel, followed, frame);
    else this.#sink.restart(channel, { fresh: true });
    const held = followed.held;
    followed.held = undefined;
    for (const placed of held) this.#tell(channel, followed, placed, !placed.place);
  }

  #answered(channel: string, { frames, id }: Polled): void {
    const followed = this.#channels.get(channel);
    if (!followed) return;
    for (const frame of frames) {
      if (!isSnapshot(frame)) this.#tellPolled(channel, followed, frame);
      else if (followed.hasStarted)
        this.#sink.restart(channel, { fresh: !snapshotOf(channel)?.[2], snapshot: frame });
      else followed.snapshot = frame;
    }
    if (id) {
      followed.mark.id = id;
      this.#sink.polled(channel, id);
    }
    this.#started(followed);
    this.#up(channel, true);
    this.#error = undefined;
    this.#change({ polls: 'answered' });
  }

  #tellPolled(channel: string, followed: Followed, frame: Frame): void {
    this.#tell(channel, followed, { frame }, frame.event_id?.startsWith('at-') === true);
  }

  #tell(channel: string, followed: Followed, placed: Placed, isValue: boolean): void {
    const { frame, place } = placed;
    if (place) {
      followed.mark = { place };
      followed.snapshot = undefined;
    } else if (isValue && frame.event_id) {
      // Values are given again with every start and every poll.
      const key = keyOf(frame);
      const held = followed.values.get(key);
      if (held?.type === frame.type && held.timestamp === frame.timestamp && same(held.data, frame.data))
        return;
      followed.values.set(key, frame);
    }
    this.#sink.frame(channel, placed);
  }

  #started(followed: Followed): void {
    followed.hasStarted = true;
    followed.started.resolve();
  }

  #fail(channel: string, error: RealtimeError): void {
    const followed = this.#channels.get(channel);
    if (!followed) return;
    this.drop(channel);
    followed.started.reject(error);
    if (followed.hasStarted) this.#sink.failed(channel, error);
  }

  #up(channel: string, isUp: boolean): void {
    const followed = this.#channels.get(channel);
    if (!followed || followed.isUp === isUp) return;
    followed.isUp = isUp;
    this.#sink.up(channel, isUp);
  }

  /** Everything that follows from what is known happens here. */
  #change(news: Partial<Facts>, error = this.#error): void {
    if (this.#ended.signal.aborted) return;
    Object.assign(this.#facts, news);
    if (news.sockets && news.sockets !== 'connected') {
      for (const channel of this.#channels.keys()) this.#up(channel, false);
    }
    this.#error = error;
    const facts = this.#facts;
    if (facts.sockets === 'connecting' && !facts.overdue) {
      this.#overdue ??= setTimeout(() => this.#change({ overdue: true }), this.#settings.fallbackMs);
    } else {
      clearTimeout(this.#overdue);
      this.#overdue = undefined;
    }
    if (mustPoll(facts)) {
      for (const [channel, followed] of this.#channels)
        this.#polls.add(channel, () => sinceOf(followed.mark));
    } else if (facts.sockets !== 'connected' || !facts.online) this.#polls.stop();
    if (facts.sockets === 'connected' && facts.polls !== 'never') facts.polls = 'unknown';
    // With nothing to poll no poll will tell.
    const idle = facts.polls === 'unknown' && this.#channels.size === 0;
    const state = stateOf(idle ? { ...facts, polls: 'never' } : facts);
    this.#sink.line(state, state === 'live' ? undefined : this.#error);
  }

  async #askHealth(): Promise<void> {
    const { health } = this.#settings;
    if (!health || this.#ended.signal.aborted) return;
    let seconds = 30;
    try {
      const response = await this.#settings.fetch(health, { signal: this.#ended.signal, cache: 'no-store' });
      const { enabled, poll_seconds } = (await response.json()) as {
        enabled?: boolean;
        poll_seconds?: number;
      };
      seconds = Math.max(1, poll_seconds ?? seconds);
      this.#polls.intervalMs = seconds * 1000;
      if (enabled === false) this.#sockets?.disconnect();
      else if (this.#isPaused) this.retry();
      this.#isPaused = enabled === false;
    } catch {
      // No answer says nothing about sockets.
    }
    if (!this.#ended.signal.aborted) this.#health = setTimeout(() => void this.#askHealth(), seconds * 1000);
  }
}

const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);
