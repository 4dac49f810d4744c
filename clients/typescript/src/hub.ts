// Whoever reads in this tab. Makes one stream without gaps and repeats out of what a source tells, also when the source changes.

import { errorOf, RealtimeError } from './errors.ts';
import { type Frame, guarded } from './events.ts';
import {
  Deferred,
  type Joined,
  type Mark,
  type Placed,
  type Sink,
  type Source,
  type Start,
} from './source.ts';
import type { State } from './state.ts';

export interface Reader {
  /** The channel is read from here on; see `Start`. */
  start(start: Start): void;
  frame(frame: Frame): void;
  state(state: State): void;
  /** It can't be read, and nothing more comes. */
  fail(error: RealtimeError): void;
}

/** Ids of events that are remembered per reader, to know again what polls and sockets both bring. */
const IDS_MAX = 2_000;
/** What may wait until a join is answered. More: it joins anew. */
const WAITING_MAX = 10_000;
/** The wait before a join that failed is tried again, in milliseconds. */
const REJOIN_MS = 1_000;

/** One reader, and how far it has read. */
class Reading {
  readonly reader: Reader;
  mark: Mark | undefined;
  hasStarted = false;
  /** What came since the join was asked; `undefined` once it is answered. */
  waiting: (Placed | Start)[] | undefined = [];
  /** Counts joins, so that a late answer is known as such. */
  turn = 0;
  readonly #ids = new Set<string>();
  #state: State | undefined;

  constructor(reader: Reader) {
    this.reader = reader;
  }

  take(one: Placed | Start): void {
    if (this.waiting) this.waiting.push(one);
    else if ('frame' in one) this.#frame(one);
    else this.#start(one);
  }

  joined({ frames, mark, ...start }: Joined): void {
    const waited = this.waiting ?? [];
    this.waiting = undefined;
    if (start.fresh || start.snapshot || !this.hasStarted) this.#start(start);
    if (start.fresh || !this.hasStarted) this.mark = mark;
    this.hasStarted = true;
    for (const one of [...frames, ...waited]) this.take(one);
  }

  state(state: State): void {
    if (state === this.#state) return;
    this.#state = state;
    guarded(() => this.reader.state(state));
  }

  #start(start: Start): void {
    if (start.fresh) this.mark = undefined;
    guarded(() => this.reader.start(start));
  }

  #frame(placed: Placed): void {
    if (this.#isNew(placed)) guarded(() => this.reader.frame(placed.frame));
  }

  #isNew({ frame, place }: Placed): boolean {
    const before = this.mark?.place;
    if (place && before?.epoch === place.epoch && place.offset <= before.offset) return false;
    if (place) this.mark = { place };
    const id = frame.event_id;
    // A value stands for a place in the log, and may come again with another content.
    if (!id || id.startsWith('at-')) return true;
    if (this.#ids.has(id)) return false;
    this.#ids.add(id);
    if (this.#ids.size > IDS_MAX) for (const oldest of this.#ids) return this.#ids.delete(oldest);
    return true;
  }
}

interface Channel {
  readings: Set<Reading>;
  isUp: boolean;
}

export class Hub implements Sink {
  #source: Source | undefined;
  readonly #attached = new Deferred<Source>();
  #state: State = 'catching-up';
  readonly #channels = new Map<string, Channel>();
  readonly #onLine: (state: State, error?: RealtimeError) => void;

  constructor(onLine: (state: State, error?: RealtimeError) => void) {
    this.#onLine = onLine;
  }

  /** From now on this source tells; everything that is read is joined there, from where it was left. */
  attach(source: Source): void {
    this.#source = source;
    this.#attached.resolve(source);
    for (const [name, channel] of this.#channels) {
      channel.isUp = false;
      for (const reading of channel.readings) void this.#join(name, channel, reading);
    }
  }

  read(name: string, reader: Reader): () => void {
    const channel = this.#channels.get(name) ?? { readings: new Set<Reading>(), isUp: false };
    this.#channels.set(name, channel);
    const reading = new Reading(reader);
    channel.readings.add(reading);
    void this.#join(name, channel, reading);
    return () => {
      channel.readings.delete(reading);
      if (channel.readings.size === 0 && this.#channels.get(name) === channel) {
        this.#channels.delete(name);
        this.#source?.drop(name);
      }
    };
  }

  async call(method: string, data: unknown): Promise<unknown> {
    const source = this.#source ?? (await this.#attached.promise);
    return source.call(method, data);
  }

  close(): void {
    this.#attached.reject(new RealtimeError('closed', 'this client was closed'));
    this.#channels.clear();
  }

  retry(): void {
    this.#source?.retry();
  }

  line(state: State, error?: RealtimeError): void {
    this.#state = state;
    this.#onLine(state, error);
    for (const channel of this.#channels.values()) this.#tellState(channel);
  }

  up(name: string, isUp: boolean): void {
    const channel = this.#channels.get(name);
    if (!channel) return;
    channel.isUp = isUp;
    this.#tellState(channel);
  }

  frame(name: string, placed: Placed): void {
    const channel = this.#channels.get(name);
    if (!channel) return;
    for (const reading of [...channel.readings]) {
      reading.take(placed);
      if ((reading.waiting?.length ?? 0) > WAITING_MAX) void this.#join(name, channel, reading);
    }
  }

  restart(name: string, start: Start): void {
    for (const reading of [...(this.#channels.get(name)?.readings ?? [])]) reading.take(start);
  }

  polled(name: string, id: string): void {
    for (const reading of this.#channels.get(name)?.readings ?? []) {
      if (!reading.waiting) reading.mark = { ...reading.mark, id };
    }
  }

  failed(name: string, error: RealtimeError): void {
    const channel = this.#channels.get(name);
    if (!channel) return;
    this.#channels.delete(name);
    for (const { reader } of channel.readings) guarded(() => reader.fail(error));
  }

  async #join(name: string, channel: Channel, reading: Reading): Promise<void> {
    reading.turn += 1;
    reading.waiting = [];
    const { turn } = reading;
    const isCurrent = () =>
      channel.readings.has(reading) && this.#channels.get(name) === channel && reading.turn === turn;
    this.#tellState(channel);
    if (!this.#source) return;
    try {
      const joined = await this.#source.join(name, reading.hasStarted ? reading.mark : undefined);
      if (!isCurrent()) return;
      reading.joined(joined);
      this.#tellState(channel);
    } catch (why) {
      if (!isCurrent()) return;
      const error = errorOf(why);
      if (error.retryable)
        setTimeout(() => isCurrent() && void this.#join(name, channel, reading), REJOIN_MS);
      else this.failed(name, error);
    }
  }

  #tellState(channel: Channel): void {
    for (const reading of [...channel.readings]) {
      const isFed = channel.isUp && !reading.waiting;
      reading.state(this.#state === 'live' && !isFed ? 'catching-up' : this.#state);
    }
  }
}
