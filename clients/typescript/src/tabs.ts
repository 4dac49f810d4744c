// Tabs of one origin and user share one connection: that of the tab which holds a lock, the leader.
//
// When the leader goes, the browser gives the lock to another tab, whose own connection starts from where that tab has read; every
// other tab asks it for what that tab lacks. What tabs tell each other are plain objects over a BroadcastChannel. A tab that goes
// without a word frees a lock of its own, by which the leader learns of it.

import { type ErrorCode, errorOf, RealtimeError } from './errors.ts';
import { Deferred, type Joined, type Mark, type Sink, type Source } from './source.ts';
import type { State } from './state.ts';

/** Of what tabs tell each other; tabs of another version do not share. */
const VERSION = 1;

/** A leader that says nothing for so long was frozen by its browser, in milliseconds. */
const SILENCE_MS = 3_000;

/** What a leader tells its own tab and all others, in the words of `Sink`. */
const TOLD = ['line', 'up', 'frame', 'restart', 'polled', 'failed'] as const;

type Told = (typeof TOLD)[number];
type Message =
  | { told: Told; with: unknown[] }
  /** Who leads, and how things are. A tab that comes asks for it. */
  | { leader: string; line: unknown[]; up: string[] }
  | { hello: true }
  /** A question to the leader. Without a number nobody waits for the answer. */
  | { tab: string; ask?: number; to: 'join' | 'drop' | 'call' | 'retry'; with: unknown[] }
  | { answer: number; tab: string; result?: unknown; error?: unknown };

interface Hub extends Sink {
  attach(source: Source): void;
}

/** Errors lose their fields on the way between tabs; these are what they are made of. */
const plain = (one: unknown): unknown =>
  one instanceof RealtimeError ? { error: [one.code, one.message, one.retryable] } : one;

const whole = (one: unknown): unknown => {
  const error = (one as { error?: [ErrorCode, string, boolean] } | undefined)?.error;
  return error ? new RealtimeError(...error) : one;
};

/** Whether this browser can share. */
export const canShare = (): boolean =>
  typeof BroadcastChannel === 'function' && typeof globalThis.navigator?.locks?.request === 'function';

export class Tabs implements Source {
  readonly #id = crypto.randomUUID();
  readonly #name: string;
  readonly #channel: BroadcastChannel;
  readonly #hub: Hub;
  readonly #lead: (sink: Sink) => Source;
  readonly #life = new AbortController();
  /** Aborted when this tab takes part no more. */
  #part: AbortController | undefined;
  #leader = '';
  #silence: ReturnType<typeof setTimeout> | undefined;
  #asks = 0;
  readonly #asked = new Map<number, Deferred<unknown>>();
  // Only where this tab leads:
  #own: Source | undefined;
  readonly #readers = new Map<string, Set<string>>();
  readonly #watched = new Set<string>();
  readonly #up = new Set<string>();
  #line: [State, RealtimeError?] = ['catching-up'];

  /** `lead` makes the connection when this tab is to hold it. */
  constructor(name: string, hub: Hub, lead: (sink: Sink) => Source) {
    this.#name = `platepal-realtime-${VERSION}:${name}`;
    this.#hub = hub;
    this.#lead = lead;
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }: MessageEvent<Message>) => this.#hear(data);
    this.#enter();
    const { signal } = this.#life;
    // A page that the browser keeps aside to show it again must not hold the connection meanwhile.
    globalThis.addEventListener?.('pagehide', this.#leave, { signal });
    globalThis.addEventListener?.('pageshow', this.#enter, { signal });
    globalThis.document?.addEventListener('visibilitychange', this.#probe, { signal });
  }

  join(channel: string, mark?: Mark): Promise<Joined> {
    return this.#ask('join', [channel, mark]) as Promise<Joined>;
  }

  drop(channel: string): void {
    this.#tell('drop', [channel]);
  }

  call(method: string, data: unknown): Promise<unknown> {
    return this.#ask('call', [method, data]);
  }

  retry(): void {
    this.#tell('retry', []);
  }

  close(): void {
    this.#life.abort();
    this.#leave();
    this.#channel.close();
  }

  readonly #enter = (): void => {
    if (this.#part) return;
    this.#part = new AbortController();
    this.#hold(`${this.#name}:${this.#id}`, () => {});
    this.#hold(this.#name, this.#begin);
    // Until somebody leads there is nobody to ask.
    this.#say({ hello: true });
  };

  readonly #leave = (): void => {
    this.#part?.abort();
    this.#part = undefined;
    clearTimeout(this.#silence);
    this.#silence = undefined;
    this.#leader = '';
    this.#own?.close();
    this.#own = undefined;
    this.#readers.clear();
    this.#up.clear();
    this.#forget();
  };

  /** Has a lock as long as this tab takes part. `steal`: from whoever has it, who then has to begin anew. */
  #hold(name: string, held: () => void, steal = false): void {
    const { signal } = this.#part as AbortController;
    const untilAborted = () => {
      held();
      return new Promise<void>((release) => signal.addEventListener('abort', () => release()));
    };
    navigator.locks.request(name, steal ? { steal } : { signal }, untilAborted).catch(() => {
      if (signal.aborted) return;
      this.#leave();
      this.#enter();
    });
  }

  /** Asks who leads. Nobody says so: the lock is with a tab that the browser froze, and is taken. */
  readonly #probe = (): void => {
    if (!this.#part || this.#own || this.#silence || globalThis.document?.hidden) return;
    this.#silence = setTimeout(() => this.#hold(this.#name, this.#begin, true), SILENCE_MS);
    this.#say({ hello: true });
  };

  /** This tab leads from now on. */
  readonly #begin = (): void => {
    if (!this.#part || this.#own) return;
    clearTimeout(this.#silence);
    this.#silence = undefined;
    this.#leader = this.#id;
    this.#forget();
    const tell =
      (told: Told) =>
      (...all: unknown[]) => {
        const [first, second] = all;
        if (told === 'line') this.#line = all as [State, RealtimeError?];
        else if (told === 'up') this.#up[second ? 'add' : 'delete'](first as string);
        else if (told === 'failed') this.#readers.delete(first as string);
        (this.#hub[told] as (...all: unknown[]) => void)(...all);
        this.#say({ told, with: all.map(plain) });
      };
    this.#own = this.#lead(Object.fromEntries(TOLD.map((told) => [told, tell(told)])) as unknown as Sink);
    this.#announce();
    this.#hub.attach(this);
  };

  #announce(): void {
    this.#say({ leader: this.#id, line: this.#line.map(plain), up: [...this.#up] });
  }

  #hear(message: Message): void {
    if (!this.#part) return;
    if (this.#own) {
      if ('hello' in message) this.#announce();
      else if ('to' in message) this.#answer(message);
    } else if ('told' in message) {
      (this.#hub[message.told] as (...all: unknown[]) => void)(...message.with.map(whole));
    } else if ('leader' in message) {
      clearTimeout(this.#silence);
      this.#silence = undefined;
      if (this.#leader !== message.leader) {
        this.#leader = message.leader;
        this.#forget();
        this.#hub.attach(this);
      }
      this.#hub.line(...(message.line.map(whole) as [State, RealtimeError?]));
      for (const channel of message.up) this.#hub.up(channel, true);
    } else if ('answer' in message && message.tab === this.#id) {
      const asked = this.#asked.get(message.answer);
      this.#asked.delete(message.answer);
      if (message.error) asked?.reject(whole(message.error));
      else asked?.resolve(message.result);
    }
  }

  /** What another tab asks of this one, which leads. */
  #answer({ tab, ask, to, with: all }: Extract<Message, { to: string }>): void {
    this.#watch(tab);
    const answer = this.#do(tab, to, all);
    if (ask === undefined) return;
    answer.then(
      (result) => this.#say({ answer: ask, tab, result }),
      (why) => this.#say({ answer: ask, tab, error: plain(errorOf(why)) }),
    );
  }

  /** Asks the leader, be it this tab. */
  #ask(to: 'join' | 'call', all: unknown[]): Promise<unknown> {
    if (this.#own) return this.#do(this.#id, to, all);
    const asked = new Deferred<unknown>();
    this.#asks += 1;
    this.#asked.set(this.#asks, asked);
    this.#say({ tab: this.#id, ask: this.#asks, to, with: all });
    const patience = setTimeout(this.#probe, SILENCE_MS);
    return asked.promise.finally(() => clearTimeout(patience));
  }

  #tell(to: 'drop' | 'retry', all: unknown[]): void {
    if (this.#own) void this.#do(this.#id, to, all);
    else this.#say({ tab: this.#id, to, with: all });
  }

  async #do(
    tab: string,
    to: 'join' | 'drop' | 'call' | 'retry',
    [first, second]: unknown[],
  ): Promise<unknown> {
    const own = this.#own as Source;
    const channel = first as string;
    const readers = this.#readers.get(channel) ?? new Set();
    switch (to) {
      case 'join':
        this.#readers.set(channel, readers.add(tab));
        return own.join(channel, second as Mark | undefined);
      case 'drop':
        if (readers.delete(tab) && readers.size === 0) {
          this.#readers.delete(channel);
          this.#up.delete(channel);
          own.drop(channel);
        }
        return;
      case 'call':
        return own.call(channel, second);
      case 'retry':
        return own.retry();
    }
  }

  /** Nobody answers what was asked of a leader that went. */
  #forget(): void {
    const gone = new RealtimeError('unavailable', 'the tab that held the connection was closed; try again');
    for (const asked of this.#asked.values()) asked.reject(gone);
    this.#asked.clear();
  }

  /** When the tab goes its lock is free, and nothing has to be followed for it any more. */
  #watch(tab: string): void {
    if (this.#watched.has(tab) || !this.#part) return;
    this.#watched.add(tab);
    const gone = () => {
      this.#watched.delete(tab);
      for (const channel of [...this.#readers.keys()]) void this.#do(tab, 'drop', [channel]);
    };
    const { signal } = this.#part;
    navigator.locks.request(`${this.#name}:${tab}`, { signal }, gone).catch(() => this.#watched.delete(tab));
  }

  #say(message: Message): void {
    if (this.#part) this.#channel.postMessage(message);
  }
}
