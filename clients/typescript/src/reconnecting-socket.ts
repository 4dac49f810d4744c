// A plain socket of PlatePal's own, one feed each, that comes back by itself: what the frontends have today, made whole.
//
// Speaks no Centrifuge. Reconnects as the contract says, names the last event it saw, and does not come back when told not to.

import { addresses, DEFAULT_URL, type Env, feedPath, socketsEnabled } from './address.ts';
import { errorOf, RealtimeError } from './errors.ts';
import { frameOf, guarded, type Handler, Handlers } from './events.ts';
import type { ChannelName } from './generated/catalogue.ts';
import { type TokenSource, Tokens } from './tokens.ts';

export type SocketStatus = 'disconnected' | 'connecting' | 'connected' | 'reconnecting' | 'failed';

export interface ReconnectingSocketOptions {
  /** `customer:7`, or a path: `/customer/7`. */
  feed: ChannelName | `/${string}`;
  token: TokenSource;
  /** Pass `import.meta.env`. */
  env?: Env;
  /** Instead of `VITE_WS_URL`. */
  url?: string;
  /** `event_id` of the last event that was seen before, to go on after it. */
  sinceEventId?: string;
  websocket?: typeof WebSocket;
}

/** How long the handshake may take. */
const CONNECT_MS = 5_000;
/** Waits between attempts: 1 s, 2 s, 4 s, … */
const FIRST_MS = 1_000;
const MOST_MS = 30_000;
const ATTEMPTS_MAX = 10;
/** Closed for good; the code of whoever may not read the feed, and of one who was sent away. */
const FINAL = new Map([
  [4003, new RealtimeError('forbidden', 'this user may not read this feed')],
  [4000, new RealtimeError('forbidden', 'the tier ended this connection')],
]);
const UNAUTHORISED = 4001;

export class ReconnectingSocket {
  readonly #options: ReconnectingSocketOptions;
  readonly #tokens: Tokens;
  readonly #handlers = new Handlers();
  readonly #listeners = new Set<(status: SocketStatus) => void>();
  #status: SocketStatus = 'disconnected';
  #error: RealtimeError | undefined;
  #socket: WebSocket | undefined;
  #attempts = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #lastEventId: string | undefined;
  /** Counts connections that were asked for, so that what belongs to an old one is known. */
  #turn = 0;

  constructor(options: ReconnectingSocketOptions) {
    this.#options = options;
    this.#tokens = new Tokens(options.token);
    this.#lastEventId = options.sinceEventId;
  }

  get status(): SocketStatus {
    return this.#status;
  }

  /** Why it is not connected. */
  get error(): RealtimeError | undefined {
    return this.#error;
  }

  /** To be kept if somebody wants to go on later. */
  get lastEventId(): string | undefined {
    return this.#lastEventId;
  }

  connect(): void {
    if (this.#status === 'connecting' || this.#status === 'connected') return;
    if (!socketsEnabled(this.#options.env ?? {})) {
      this.#set('failed', new RealtimeError('unsupported', 'sockets are switched off by VITE_WS_ENABLED'));
      return;
    }
    this.#attempts = 0;
    this.#set('connecting');
    void this.#open();
  }

  disconnect(): void {
    this.#end();
    this.#set('disconnected');
  }

  /** `order_accepted`, `order.accepted`, or `*` for all. Gives what takes the handler away. */
  on<Type extends string>(type: Type, handler: Handler<Type>): () => void {
    return this.#handlers.on(type, handler);
  }

  off(type: string, handler: (event: never) => void): void {
    this.#handlers.off(type, handler);
  }

  onStatus(listener: (status: SocketStatus) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** `send('typing', { is_typing: true })`, or a whole message. False: there is no connection, and nothing was sent. */
  send(message: string | object, data?: object): boolean {
    if (this.#socket?.readyState !== 1) return false;
    const whole = typeof message === 'string' ? { type: message, ...data } : message;
    this.#socket.send(JSON.stringify(whole));
    return true;
  }

  async #open(): Promise<void> {
    this.#turn += 1;
    const turn = this.#turn;
    const isCurrent = () => this.#turn === turn;
    let token: string;
    try {
      token = await this.#tokens.get();
    } catch (why) {
      if (!isCurrent()) return;
      const error = errorOf(why);
      if (error.code === 'unauthorised') this.#fail(error);
      else this.#again(error);
      return;
    }
    if (!isCurrent()) return;
    const { feed, env, url, websocket = WebSocket } = this.#options;
    const path = feed.startsWith('/') ? feed : feedPath(feed);
    const query = new URLSearchParams({
      token,
      ...(this.#lastEventId ? { since_event_id: this.#lastEventId } : {}),
    });
    const where = addresses(url ?? (env?.VITE_WS_URL || DEFAULT_URL)).sockets;
    const socket = new websocket(`${where}${path}?${query}`);
    this.#socket = socket;
    let openedAt = Number.POSITIVE_INFINITY;
    this.#timer = setTimeout(() => socket.close(), CONNECT_MS);
    socket.onopen = () => {
      clearTimeout(this.#timer);
      openedAt = Date.now();
      if (isCurrent()) this.#set('connected');
    };
    socket.onmessage = ({ data }) => {
      if (isCurrent()) this.#hear(socket, data);
    };
    socket.onclose = ({ code, reason }) => {
      clearTimeout(this.#timer);
      if (!isCurrent()) return;
      this.#socket = undefined;
      if (Date.now() - openedAt > MOST_MS) this.#attempts = 0;
      this.#closed(code, reason, token);
    };
    // A close follows, and says more.
    socket.onerror = () => {};
  }

  #hear(socket: WebSocket, data: unknown): void {
    let frame: ReturnType<typeof frameOf>;
    try {
      frame = frameOf(JSON.parse(String(data)));
    } catch {
      return;
    }
    if (!frame) return;
    // Only what is heard, or time, shows that the connection is of use: a server that takes and closes is not.
    this.#attempts = 0;
    // Pings of the protocol are the browser's; a server that pings in words is answered in words.
    if (frame.type === 'ping') socket.send('{"type":"pong"}');
    if (frame.event_id) this.#lastEventId = frame.event_id;
    this.#handlers.tell(frame);
  }

  #closed(code: number, reason: string, token: string): void {
    const error = FINAL.get(code);
    if (code === 1000) this.#set('disconnected');
    else if (error) this.#fail(new RealtimeError(error.code, reason || error.message));
    else if (code !== UNAUTHORISED)
      this.#again(new RealtimeError('unavailable', reason || `the socket closed (${code})`));
    else if (typeof this.#options.token === 'string') {
      this.#fail(
        new RealtimeError(
          'unauthorised',
          `${reason || 'the token was refused'}; pass a function that gives a new one`,
        ),
      );
    } else {
      this.#tokens.refuse(token);
      this.#again(new RealtimeError('unauthorised', reason));
    }
  }

  #again(error: RealtimeError): void {
    if (this.#attempts >= ATTEMPTS_MAX) {
      this.#fail(error);
      return;
    }
    this.#set('reconnecting', error);
    this.#timer = setTimeout(() => void this.#open(), Math.min(MOST_MS, FIRST_MS * 2 ** this.#attempts));
    this.#attempts += 1;
  }

  #fail(error: RealtimeError): void {
    this.#end();
    this.#set('failed', error);
  }

  #end(): void {
    this.#turn += 1;
    clearTimeout(this.#timer);
    this.#socket?.close(1000);
    this.#socket = undefined;
  }

  #set(status: SocketStatus, error?: RealtimeError): void {
    this.#error = error;
    if (status === this.#status) return;
    this.#status = status;
    for (const listener of [...this.#listeners]) guarded(() => listener(status));
  }
}
