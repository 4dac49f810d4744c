// Reading without sockets: the tier's own long poll, or a function of the application's that asks its REST API.

import { type Addresses, feedPath } from './address.ts';
import { type ErrorCode, errorOf, RealtimeError } from './errors.ts';
import { type Frame, frameOf } from './events.ts';
import { backoffMs } from './state.ts';
import type { Tokens } from './tokens.ts';

/** What a poll of the application's is asked. */
export interface PollRequest {
  /** `order:5012` */
  channel: string;
  /** `order` */
  kind: string;
  /** `5012` */
  id: string;
  /** `id` of the last answer that had one. */
  since?: string;
  signal: AbortSignal;
}

/**
 * Asks the application's own API what a channel has, in frames: `[{ type: 'order_snapshot', data: { … } }]`. A type that ends
 * with `_snapshot` takes the place of all that was known.
 */
export type Poll = (request: PollRequest) => Promise<Frame[]>;

export interface Polled {
  frames: Frame[];
  /** What to ask with next. */
  id?: string;
}

export interface PollSettings {
  addresses: Addresses;
  tokens: Tokens;
  poll?: Poll;
  fetch: typeof fetch;
}

/** How long the tier may keep a poll waiting. */
const WAIT = '20s';
/** Values that change between two polls end no wait: where those matter it is short. */
const WAIT_VALUES = '5s';
const VALUES = /^(menu|track|area):/;
/** Browsers have six connections to a host. */
const AT_ONCE_MAX = 4;
/** Waits after a poll that failed, in milliseconds. */
const RETRY_MS = [1_000, 30_000] as const;

/** One poll. `wait`: the tier answers when something happens. Rejects with an error that says whether another can succeed. */
export async function pollOnce(
  settings: PollSettings,
  channel: string,
  since: string | undefined,
  wait: boolean,
  signal = new AbortController().signal,
): Promise<Polled> {
  const { addresses, tokens, poll } = settings;
  if (poll) {
    const [kind = '', id = ''] = channel.split(':');
    const frames = await poll({ channel, kind, id, since, signal });
    return { frames: frames.flatMap((raw) => frameOf(raw) ?? []) };
  }
  const path = feedPath(channel);
  if (!path) throw new RealtimeError('unsupported', `${channel} can't be polled`);
  const query = new URLSearchParams({
    wait: !wait ? '0s' : VALUES.test(channel) ? WAIT_VALUES : WAIT,
    ...(since ? { since_event_id: since } : {}),
  });
  for (let isAgain = false; ; isAgain = true) {
    const token = await tokens.get();
    const headers: HeadersInit = token ? { Authorization: `Bearer ${token}` } : {};
    const response = await settings.fetch(`${addresses.events}${path}?${query}`, {
      headers,
      signal,
      cache: 'no-store',
    });
    if (response.status === 401 && !isAgain) {
      tokens.refuse(token);
      continue;
    }
    if (!response.ok) throw await refusal(response);
    const { events, last_event_id } = (await response.json()) as {
      events: unknown[];
      last_event_id?: string;
    };
    return { frames: events.flatMap((raw) => frameOf(raw) ?? []), id: last_event_id };
  }
}

/** An error that may know how long to wait. */
type Refusal = RealtimeError & { waitMs?: number };

async function refusal(response: Response): Promise<Refusal> {
  const body = (await response.json().catch(() => ({}))) as { message?: string; retry_after_ms?: number };
  const words = {
    400: 'invalid',
    401: 'unauthorised',
    403: 'forbidden',
    404: 'not_found',
    429: 'limit',
  } as const;
  const word = words[response.status as keyof typeof words] as ErrorCode | undefined;
  const message = body.message ?? `the tier answered ${response.status}`;
  const error = new RealtimeError(word ?? 'unavailable', message, !word || word === 'limit');
  return Object.assign(error, { waitMs: body.retry_after_ms });
}

export interface PollEvents {
  answered(channel: string, polled: Polled): void;
  /** The next one may succeed. */
  failed(error: RealtimeError): void;
  /** This channel can't be polled by this user. */
  refused(channel: string, error: RealtimeError): void;
}

/** Polls all channels in turns while it runs. */
export class Polls {
  readonly #settings: PollSettings;
  readonly #events: PollEvents;
  readonly #channels = new Map<string, AbortController>();
  #waiting: (() => void)[] = [];
  #busy = 0;
  /** Between polls that do not wait by themselves, in milliseconds. */
  intervalMs = 10_000;

  constructor(settings: PollSettings, events: PollEvents) {
    this.#settings = settings;
    this.#events = events;
  }

  /** `since` is asked before each poll. */
  add(channel: string, since: () => string | undefined): void {
    if (this.#channels.has(channel)) return;
    const abort = new AbortController();
    this.#channels.set(channel, abort);
    void this.#run(channel, since, abort.signal);
  }

  remove(channel: string): void {
    this.#channels.get(channel)?.abort();
    this.#channels.delete(channel);
  }

  stop(): void {
    for (const channel of [...this.#channels.keys()]) this.remove(channel);
  }

  /** One poll beside the others, which waits for nothing. */
  once(channel: string, since: string | undefined): Promise<Polled> {
    return pollOnce(this.#settings, channel, since, false);
  }

  async #run(channel: string, since: () => string | undefined, signal: AbortSignal): Promise<void> {
    for (let failures = 0; !signal.aborted; ) {
      await this.#turn();
      // The first is to be answered at once: whoever looks has nothing yet.
      const wait = !this.#settings.poll && this.#channels.size <= AT_ONCE_MAX && since() !== undefined;
      let pauseMs = wait || (!this.#settings.poll && since() === undefined) ? 0 : this.intervalMs;
      try {
        const polled = await pollOnce(this.#settings, channel, since(), wait, signal);
        if (signal.aborted) return;
        failures = 0;
        this.#events.answered(channel, polled);
      } catch (why) {
        if (signal.aborted) return;
        const error = errorOf(why);
        if (!error.retryable && error.code !== 'unauthorised') {
          this.#channels.delete(channel);
          this.#events.refused(channel, error);
          return;
        }
        pauseMs = (why as Refusal).waitMs ?? backoffMs(failures++, ...RETRY_MS);
        this.#events.failed(error);
      } finally {
        this.#busy -= 1;
        this.#waiting.shift()?.();
      }
      if (pauseMs) await pause(pauseMs, signal);
    }
  }

  async #turn(): Promise<void> {
    if (this.#busy >= AT_ONCE_MAX) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#busy += 1;
  }
}

/** Ends early, without an error, when it is not wanted any more. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
