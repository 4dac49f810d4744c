// Something watched: its value as it is now, how fresh that is, and who wants to know.

import { errorOf, type RealtimeError } from './errors.ts';
import { type Frame, guarded, type Handler, Handlers } from './events.ts';
import type { Realtime } from './realtime.ts';
import type { Start } from './source.ts';
import type { State } from './state.ts';

/** One moment of it. Never changed: another moment is another object. */
export interface Moment<T> {
  /** `undefined` until something is known. */
  readonly value: T | undefined;
  readonly state: State;
  /** Why there is nothing, or nothing new. */
  readonly error: RealtimeError | undefined;
}

export interface Watch<T> {
  readonly current: Moment<T>;
  /** Called after changes, at most once a frame of the screen. Gives what ends it. */
  subscribe(listener: () => void): () => void;
  /** Every event of the channel, as it comes; `*`: all types. */
  on<Type extends string>(type: Type, handler: Handler<Type>): () => void;
  /** Resolves with the first value; rejects when there can be none. */
  ready(): Promise<T>;
  /** Changes the value by what is known besides, as the answer of a call. */
  apply(update: (value: T | undefined) => T | undefined): void;
  close(): void;
}

/** What a domain says of its channel. */
export interface Subject<T> {
  channel: string;
  /** The value with what an event says. The same object: nothing changed. Pure. */
  reduce(value: T | undefined, event: Frame): T | undefined;
  /** What has to be loaded at a start, and how it changes the value. What happens meanwhile is applied after it, once more. */
  load?(start: Start, value: T | undefined): Promise<(value: T | undefined) => T | undefined> | undefined;
}

/** How long something is kept open that nobody watches any more, in milliseconds: whoever renders again finds it. */
const LINGER_MS = 250;
/** Waits before a start that could not load is tried again, in milliseconds. */
const RELOAD_MS = 2_000;
/** A page that paints nothing is told all the same after so long. */
const UNPAINTED_MS = 100;

/** Runs it before the next frame of the screen, soon where nothing is painted. */
function beforePaint(action: () => void): void {
  const page = (globalThis as { document?: { visibilityState: string } }).document;
  if (page?.visibilityState !== 'visible' || typeof requestAnimationFrame !== 'function') {
    queueMicrotask(action);
    return;
  }
  let isDone = false;
  const once = () => {
    if (isDone) return;
    isDone = true;
    clearTimeout(timer);
    action();
  };
  const timer = setTimeout(once, UNPAINTED_MS);
  requestAnimationFrame(once);
}

/** A subject that is watched, by one or several. */
export class Watched<T> {
  #current: Moment<T> = { value: undefined, state: 'catching-up', error: undefined };
  readonly #listeners = new Set<() => void>();
  readonly handlers = new Handlers();
  readonly #subject: Subject<T>;
  #end: () => void;
  #isTelling = false;
  #starts = 0;
  /** What came while something is loaded. */
  #meanwhile: Frame[] | undefined;
  #watchers = 0;
  #linger: ReturnType<typeof setTimeout> | undefined;
  #onEnd: () => void;

  constructor(realtime: Realtime, subject: Subject<T>, onEnd: () => void) {
    this.#subject = subject;
    this.#onEnd = onEnd;
    this.#end = realtime.read(subject.channel, {
      start: (start) => this.#start(start),
      frame: (frame) => {
        this.#meanwhile?.push(frame);
        this.change((value) => subject.reduce(value, frame));
        this.handlers.tell(frame);
      },
      state: (state) =>
        this.#set({ state, error: state === 'live' ? undefined : (realtime.error ?? this.#current.error) }),
      fail: (error) => this.#set({ state: 'offline', error }),
    });
  }

  get current(): Moment<T> {
    return this.#current;
  }

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  change = (update: (value: T | undefined) => T | undefined): void => {
    const value = update(this.#current.value);
    if (value !== this.#current.value) this.#set({ value });
  };

  enter(): void {
    this.#watchers += 1;
    clearTimeout(this.#linger);
  }

  leave(): void {
    this.#watchers -= 1;
    if (this.#watchers > 0) return;
    this.#linger = setTimeout(() => {
      this.#starts += 1;
      this.#end();
      this.#onEnd();
    }, LINGER_MS);
  }

  #start(start: Start): void {
    this.#starts += 1;
    const { snapshot } = start;
    if (snapshot) {
      this.change((value) => this.#subject.reduce(value, snapshot));
      this.handlers.tell(snapshot);
    }
    void this.#load(start, this.#starts);
  }

  async #load(start: Start, turn: number): Promise<void> {
    const { load, reduce } = this.#subject;
    const meanwhile: Frame[] = [];
    this.#meanwhile = meanwhile;
    try {
      const update = await load?.(start, this.#current.value);
      if (turn !== this.#starts) return;
      if (update) this.change((value) => meanwhile.reduce<T | undefined>(reduce, update(value)));
      this.#set({ error: undefined });
    } catch (why) {
      if (turn !== this.#starts) return;
      const error = errorOf(why);
      this.#set({ error });
      if (error.retryable) setTimeout(() => turn === this.#starts && void this.#load(start, turn), RELOAD_MS);
    } finally {
      if (this.#meanwhile === meanwhile) this.#meanwhile = undefined;
    }
  }

  #set(news: Partial<Moment<T>>): void {
    const { value, state, error } = this.#current;
    const next = { value, state, error, ...news };
    if (next.value === value && next.state === state && next.error === error) return;
    this.#current = next;
    if (this.#isTelling) return;
    this.#isTelling = true;
    beforePaint(() => {
      this.#isTelling = false;
      for (const listener of [...this.#listeners]) guarded(listener);
    });
  }
}

/** One watcher's handle on what several may watch. */
export function handleOf<T>(watched: Watched<T>): Watch<T> {
  const ends = new Set<() => void>();
  let isOpen = true;
  watched.enter();
  const kept = (end: () => void) => {
    ends.add(end);
    return () => {
      ends.delete(end);
      end();
    };
  };
  return {
    get current() {
      return watched.current;
    },
    subscribe: (listener) => kept(watched.subscribe(listener)),
    on: (type, handler) => kept(watched.handlers.on(type, handler)),
    ready: () =>
      new Promise((resolve, reject) => {
        const look = () => {
          const { value, error } = watched.current;
          if (value === undefined && (!error || error.retryable)) return;
          end();
          if (value === undefined) reject(error);
          else resolve(value);
        };
        const end = kept(watched.subscribe(look));
        look();
      }),
    apply: watched.change,
    close() {
      if (!isOpen) return;
      isOpen = false;
      for (const end of ends) end();
      watched.leave();
    },
  };
}
