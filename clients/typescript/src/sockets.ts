// The official SDK, told what to follow. Hides which channels the tier gives by itself and which have to be asked for.

import { Centrifuge, type Subscription, UnauthorizedError } from 'centrifuge';
import type { Addresses } from './address.ts';
import { errorOf, RealtimeError, unlessRetryable } from './errors.ts';
import type { Frame } from './events.ts';
import { frameOf } from './events.ts';
import type { Place, Placed } from './source.ts';
import type { Tokens } from './tokens.ts';

export type Transport = 'websocket' | 'http_stream' | 'sse';

export interface SocketSettings {
  addresses: Addresses;
  tokens: Tokens;
  transports: Transport[];
  /** A constructor, where there is none by itself (Node before 22). */
  websocket?: unknown;
}

export interface SocketEvents {
  connecting(): void;
  connected(): void;
  /** For good, or until `connect`. `error` is absent when it was asked for, or told before. */
  disconnected(error: RealtimeError | undefined, mayRetry: boolean): void;
  problem(error: RealtimeError): void;
  /** `recovered`: what was missed since the place named follows. `data`: the channel's state. */
  subscribed(channel: string, place: Place | undefined, recovered: boolean, data: Frame | undefined): void;
  subscribing(channel: string): void;
  refused(channel: string, error: RealtimeError): void;
  frame(channel: string, placed: Placed): void;
}

/** Waits between attempts to connect, in milliseconds. */
const RECONNECT_MS = [500, 20_000] as const;
/** The wait before a history is asked again, in milliseconds. */
const AGAIN_MS = 1_000;
/** Publications in one page of a history; the tier gives at most 300. */
const PAGE = 300;
/** The error that says that the tier gives the channel by itself. */
const GIVEN = 105;
/** Codes with which a connection ends and another would end the same way. */
const FINAL = new Set([1, 3500, 3503, 3507]);

interface Followed {
  /** Up to where it was told here. */
  since?: Place;
  /** Absent of what the tier gives by itself. */
  subscription?: Subscription;
  /** What comes before it is known how this starts: it must not be told yet, nor taken for what was read. */
  held?: Placed[];
}

interface Context {
  channel: string;
  data?: unknown;
  offset?: number;
  streamPosition?: Place;
  recovered?: boolean;
}

export class Sockets {
  readonly #client: Centrifuge;
  readonly #events: SocketEvents;
  readonly #followed = new Map<string, Followed>();
  /** What the tier gives by itself, and where its log is. */
  readonly #given = new Map<string, Place | undefined>();
  readonly #epochs = new Map<string, string>();

  constructor({ addresses, tokens, transports, websocket }: SocketSettings, events: SocketEvents) {
    this.#events = events;
    let refused = '';
    this.#client = new Centrifuge(
      transports.map((transport) => ({ transport, endpoint: addresses.connection(transport) })),
      {
        emulationEndpoint: addresses.emulation,
        minReconnectDelay: RECONNECT_MS[0],
        maxReconnectDelay: RECONNECT_MS[1],
        name: 'platepal',
        ...(websocket ? { websocket } : {}),
        // Asked only when there is none yet or the last one is of no use any more.
        getToken: async () => {
          tokens.refuse(refused);
          try {
            refused = await tokens.get();
            return refused;
          } catch (why) {
            const error = errorOf(why);
            this.#events.problem(error);
            if (error.code === 'unauthorised') throw new UnauthorizedError(error.message);
            throw error;
          }
        },
      },
    );
    this.#listen();
  }

  connect(): void {
    this.#client.connect();
  }

  disconnect(): void {
    this.#client.disconnect();
  }

  /** From a place, if the tier still has what came after it. */
  follow(channel: string, since?: Place): void {
    const followed: Followed = { since, held: [] };
    this.#followed.set(channel, followed);
    if (this.#given.has(channel)) {
      void this.#startGiven(channel);
      return;
    }
    const subscription = this.#client.newSubscription(channel, since ? { since } : {});
    followed.subscription = subscription;
    subscription.on('subscribed', (context) => {
      followed.held = undefined;
      this.#subscribed(context);
    });
    subscription.on('publication', (context) => this.#publication(context));
    subscription.on('subscribing', () => this.#events.subscribing(channel));
    subscription.on('error', ({ error }) => this.#events.problem(errorOf(error)));
    subscription.on('unsubscribed', ({ code, reason }) => {
      // Asked for by `unfollow`.
      if (code === 0 || this.#followed.get(channel) !== followed) return;
      this.#client.removeSubscription(subscription);
      followed.subscription = undefined;
      if (code === GIVEN) void this.#startGiven(channel);
      else this.#events.refused(channel, errorOf({ code: code >= 2000 ? 103 : code, message: reason }));
    });
    subscription.subscribe();
  }

  unfollow(channel: string): void {
    const subscription = this.#followed.get(channel)?.subscription;
    this.#followed.delete(channel);
    if (subscription) {
      subscription.unsubscribe();
      this.#client.removeSubscription(subscription);
    }
  }

  /** What a channel carried after a place. Rejects when that is not known any more. */
  async history(channel: string, since: Place): Promise<Placed[]> {
    const all: Placed[] = [];
    for (let from = since; ; ) {
      const page = await this.#client.history(channel, { since: from, limit: PAGE });
      for (const { data, offset } of page.publications) {
        const frame = frameOf(data);
        from = { offset: offset ?? from.offset, epoch: page.epoch };
        if (frame) all.push({ frame, place: from });
      }
      if (page.publications.length < PAGE) return all;
    }
  }

  async call(method: string, data: unknown): Promise<unknown> {
    try {
      return (await this.#client.rpc(method, data)).data;
    } catch (why) {
      throw errorOf(why);
    }
  }

  #listen(): void {
    const client = this.#client;
    client.on('connecting', () => {
      this.#given.clear();
      this.#events.connecting();
    });
    client.on('connected', () => this.#events.connected());
    client.on('disconnected', ({ code, reason }) => {
      this.#given.clear();
      const word = code === 3500 ? 'unauthorised' : code === 3507 ? 'forbidden' : 'unavailable';
      // Of a token that was not to be had, which is 1, it was told already.
      const error = code < 2 ? undefined : new RealtimeError(word, `${reason} (${code})`);
      this.#events.disconnected(error, !FINAL.has(code));
    });
    client.on('error', ({ error }) =>
      this.#events.problem(errorOf({ message: error.message, code: error.code })),
    );
    // Of channels that the tier gives by itself.
    client.on('subscribed', (context) => {
      this.#given.set(context.channel, context.streamPosition);
      const followed = this.#followed.get(context.channel);
      if (!followed || followed.subscription) return;
      if (context.recovered && !followed.held) this.#subscribed(context);
      else void this.#startGiven(context.channel);
    });
    client.on('publication', (context) => this.#publication(context));
    client.on('unsubscribed', ({ channel }) => {
      this.#given.delete(channel);
      if (!this.#followed.has(channel)) return;
      this.#events.refused(channel, new RealtimeError('forbidden', 'the tier took this channel back'));
    });
  }

  /** A given channel has no `since`: what was missed is read from its history. */
  async #startGiven(channel: string): Promise<void> {
    const followed = this.#followed.get(channel);
    if (!followed) return;
    const { since } = followed;
    followed.held ??= [];
    let missed: Placed[] | undefined;
    try {
      missed = since && (await this.history(channel, since).catch(unlessRetryable));
    } catch {
      // Another connection begins by itself.
      if (this.#given.has(channel)) setTimeout(() => this.#startGiven(channel), AGAIN_MS);
      return;
    }
    if (this.#followed.get(channel) !== followed) return;
    const { held = [] } = followed;
    followed.held = undefined;
    // The connection was lost meanwhile; the next one starts again.
    if (!this.#given.has(channel)) return;
    const streamPosition = missed ? since : this.#given.get(channel);
    this.#subscribed({ channel, streamPosition, recovered: missed !== undefined });
    for (const placed of [...(missed ?? []), ...held]) this.#tell(channel, followed, placed);
  }

  #subscribed({ channel, streamPosition, recovered, data }: Context): void {
    if (streamPosition) this.#epochs.set(channel, streamPosition.epoch);
    this.#events.subscribed(channel, streamPosition, recovered === true, frameOf(data));
  }

  #publication({ channel, data, offset }: Context): void {
    const frame = frameOf(data);
    const epoch = this.#epochs.get(channel) ?? this.#given.get(channel)?.epoch;
    const place = offset && epoch !== undefined ? { offset, epoch } : undefined;
    if (place && this.#given.has(channel)) this.#given.set(channel, place);
    const followed = this.#followed.get(channel);
    if (!frame || !followed) return;
    if (followed.held) followed.held.push({ frame, place });
    else this.#tell(channel, followed, { frame, place });
  }

  #tell(channel: string, followed: Followed, placed: Placed): void {
    // A next start, on another connection, begins here.
    if (placed.place) followed.since = placed.place;
    this.#events.frame(channel, placed);
  }
}
