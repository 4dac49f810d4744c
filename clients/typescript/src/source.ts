// Where events come from: this tab's own connection, or another tab's. Both look the same to whoever reads.

import type { RealtimeError } from './errors.ts';
import type { Frame } from './events.ts';
import type { State } from './state.ts';

/** A place in a channel's log. Offsets of two epochs can't be compared. */
export interface Place {
  offset: number;
  epoch: string;
}

/** How far somebody has read a channel: by a place, and if polls came after that, by the id that the last one gave. */
export interface Mark {
  place?: Place;
  id?: string;
}

/** From here on a channel is read. */
export interface Start {
  /** What was read before may lack something: state has to be loaded anew. False: it goes on without a gap. */
  fresh: boolean;
  /** The channel's state, of channels that have one. */
  snapshot?: Frame;
}

export interface Placed {
  frame: Frame;
  /** Absent: it was polled, or is a value of which only the newest counts. */
  place?: Place;
}

/** What somebody who joins gets: how it starts, then what came before the frames that are told from now on. */
export interface Joined extends Start {
  frames: Placed[];
  /** Where it starts, for somebody who had no mark. */
  mark?: Mark;
}

export interface Source {
  /** Has the channel followed, and gives what a reader at this mark lacks. Rejects when the channel can't be read. */
  join(channel: string, mark?: Mark): Promise<Joined>;
  /** Nobody here reads the channel any more. */
  drop(channel: string): void;
  /** Calls a method of a domain: `chat.send`. */
  call(method: string, data: unknown): Promise<unknown>;
  /** Tries sockets again now. */
  retry(): void;
  close(): void;
}

/** What a source tells. */
export interface Sink {
  line(state: State, error?: RealtimeError): void;
  /** Whether a channel is attached, so that what happens arrives at once. */
  up(channel: string, isUp: boolean): void;
  frame(channel: string, placed: Placed): void;
  /** A channel that was read is read again from another place. */
  restart(channel: string, start: Start): void;
  /** The id by which polls go on. */
  polled(channel: string, id: string): void;
  /** The channel can't be read any more. */
  failed(channel: string, error: RealtimeError): void;
}

/** A place as the tier's own feeds name it. Source: `EventId::at` of `crates/events`. */
export const idOf = ({ offset, epoch }: Place): string => `at-${offset}-${epoch}`;

/** What a mark is in the words of the tier's own feeds. */
export const sinceOf = (mark: Mark | undefined): string | undefined =>
  mark?.id ?? (mark?.place ? idOf(mark.place) : undefined);

/** Whether the type is one that starts a channel. */
export const isSnapshot = (frame: Frame): boolean => frame.type.endsWith('_snapshot');

/** A promise with its ends in hand. */
export class Deferred<T> {
  resolve!: (value: T) => void;
  reject!: (why: unknown) => void;
  readonly promise = new Promise<T>((resolve, reject) => {
    this.resolve = resolve;
    this.reject = reject;
  });

  constructor() {
    // Whoever waits is told; that nobody waits is no error.
    this.promise.catch(() => {});
  }
}
