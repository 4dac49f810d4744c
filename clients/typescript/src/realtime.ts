// The one connection of an application: where it leads, as whom, and how fresh it is.

import { addresses, DEFAULT_URL, type Env, socketsEnabled } from './address.ts';
import type { RealtimeError } from './errors.ts';
import { guarded } from './events.ts';
import type { ChannelName } from './generated/catalogue.ts';
import { Healing } from './healing.ts';
import { Hub, type Reader } from './hub.ts';
import type { Poll } from './polls.ts';
import type { Transport } from './sockets.ts';
import type { State } from './state.ts';
import { canShare, Tabs } from './tabs.ts';
import { claimsOf, type TokenSource, Tokens } from './tokens.ts';
import { handleOf, type Subject, type Watch, Watched } from './watch.ts';

export interface Options {
  /** The access token, or a function that gives one. It is called again when a token has ended or was refused. */
  token: TokenSource;
  /** Nobody has to be signed in: menus can be read without a token, where the tier allows it. */
  anonymous?: boolean;
  /** Pass `import.meta.env`: `VITE_WS_URL` and `VITE_WS_ENABLED` are read from it. */
  env?: Env;
  /** Where the tier is; instead of `VITE_WS_URL`. */
  url?: string;
  /** False: no sockets, as with `VITE_WS_ENABLED=false`. */
  sockets?: boolean;
  /** What to connect by, one after the other. By default WebSockets alone: where they are blocked, polls serve. */
  transports?: Transport[];
  /** False: never poll. A function: ask the application's own API instead of the tier's feeds. */
  poll?: boolean | Poll;
  /** Address of Django's health view, which can switch sockets off and says how often to poll. */
  health?: string;
  /** False: this tab has a connection of its own. */
  share?: boolean;
  /** How long sockets may be missing before polls begin, in milliseconds. */
  fallbackMs?: number;
  /** Where the platform has none by itself. */
  websocket?: unknown;
  fetch?: typeof fetch;
}

/** A channel's events, without a value. */
export type Feed = Watch<undefined>;

const FALLBACK_MS = 3_000;

export class Realtime {
  readonly #hub: Hub;
  readonly #tokens: Tokens;
  readonly #watched = new Map<string, Watched<unknown>>();
  readonly #listeners = new Set<() => void>();
  readonly #ended = new AbortController();
  #source: { close(): void } | undefined;
  #state: State = 'catching-up';
  #error: RealtimeError | undefined;

  constructor(options: Options) {
    const env = options.env ?? {};
    this.#tokens = new Tokens(options.token, options.anonymous);
    this.#hub = new Hub((state, error) => {
      if (state === this.#state && error?.message === this.#error?.message) return;
      this.#state = state;
      this.#error = error;
      for (const listener of [...this.#listeners]) guarded(listener);
    });
    const { poll = true } = options;
    const where = options.url ?? (env.VITE_WS_URL || DEFAULT_URL);
    const settings = {
      addresses: addresses(where),
      tokens: this.#tokens,
      transports: options.transports ?? (['websocket'] as Transport[]),
      websocket: options.websocket,
      sockets: options.sockets ?? socketsEnabled(env),
      polls: poll !== false,
      poll: typeof poll === 'function' ? poll : undefined,
      health: options.health,
      fallbackMs: options.fallbackMs ?? FALLBACK_MS,
      fetch: options.fetch ?? ((...request: Parameters<typeof fetch>) => fetch(...request)),
    };
    const alone = () => {
      const own = new Healing(settings, this.#hub);
      this.#source = own;
      this.#hub.attach(own);
    };
    if (options.share === false || !canShare()) alone();
    else void this.#shareTabs(where, settings.sockets, alone, (sink) => new Healing(settings, sink));
  }

  get state(): State {
    return this.#state;
  }

  get error(): RealtimeError | undefined {
    return this.#error;
  }

  onState(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Whose token it is. */
  async userId(): Promise<string> {
    return String(claimsOf(await this.#tokens.get()).user_id ?? '');
  }

  /** Every event of a channel, from now on; all who read the same one share it. */
  feed(channel: ChannelName): Feed {
    return this.#share(`feed ${channel}`, { channel, reduce: () => undefined });
  }

  /** Reads a channel by hand; domains and feeds are made of this. */
  read(channel: string, reader: Reader): () => void {
    return this.#hub.read(channel, reader);
  }

  /** Calls a method of a domain: `call('orders.get', { order_id: 5012 })`. */
  call<Answer = unknown>(method: string, data: unknown = {}): Promise<Answer> {
    return this.#hub.call(method, data) as Promise<Answer>;
  }

  /** Watches a subject; all who watch the same one share it. */
  watch<T>(subject: Subject<T>): Watch<T> {
    return this.#share(subject.channel, subject);
  }

  /** Tries sockets again now, after they were given up. */
  retry(): void {
    this.#hub.retry();
  }

  /** Ends everything; for signing out. */
  close(): void {
    this.#ended.abort();
    this.#source?.close();
    this.#hub.close();
    this.#watched.clear();
  }

  #share<T>(key: string, subject: Subject<T>): Watch<T> {
    let watched = this.#watched.get(key) as Watched<T> | undefined;
    if (!watched) {
      watched = new Watched<T>(this, subject, () => this.#watched.delete(key));
      this.#watched.set(key, watched as Watched<unknown>);
    }
    return handleOf(watched);
  }

  /** Tabs of one user share; who that is has to be known first. */
  async #shareTabs(
    where: string,
    sockets: boolean,
    alone: () => void,
    lead: ConstructorParameters<typeof Tabs>[2],
  ): Promise<void> {
    const user = await this.userId().catch(() => '');
    if (this.#ended.signal.aborted) return;
    if (!user) return alone();
    this.#source = new Tabs(`${where}:${sockets}:${user}`, this.#hub, lead);
  }
}

/** Connects; nothing happens before this is called. */
export const connect = (options: Options): Realtime => new Realtime(options);
