// The access token: where it comes from, and when a new one is needed.

import { RealtimeError } from './errors.ts';

/** A token, or what gives one: called for the first, and whenever the one before has ended or was refused. */
export type TokenSource = string | (() => string | null | undefined | Promise<string | null | undefined>);

/** A token that ends so soon is not used any more, in milliseconds: it would end on the way. */
const LEEWAY_MS = 2_000;

/** What a token says of itself; texts in it other than ASCII are not read right. It is not verified here; the tier does that. */
export function claimsOf(token: string): { exp?: number; user_id?: number | string } {
  try {
    const part = token.split('.')[1] ?? '';
    return JSON.parse(atob(part.replaceAll('-', '+').replaceAll('_', '/'))) ?? {};
  } catch {
    return {};
  }
}

export class Tokens {
  readonly #source: TokenSource;
  readonly #anonymous: boolean;
  #held = '';
  #refused = '';
  #asking: Promise<string> | undefined;

  /** `anonymous`: no token is one, too. */
  constructor(source: TokenSource, anonymous = false) {
    this.#source = source;
    this.#anonymous = anonymous;
  }

  /** The token as long as it is good, else a new one. All who ask at the same time get the same. */
  get(): Promise<string> {
    const ends = Number(claimsOf(this.#held).exp ?? Number.POSITIVE_INFINITY) * 1000;
    if (this.#held && ends - LEEWAY_MS > Date.now()) return Promise.resolve(this.#held);
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  /** This one was refused: the next `get` asks for another. */
  refuse(token: string): void {
    if (!token || token !== this.#held) return;
    this.#held = '';
    this.#refused = token;
  }

  async #ask(): Promise<string> {
    const token = typeof this.#source === 'string' ? this.#source : await this.#source();
    if (!token && this.#anonymous) return '';
    if (!token) throw new RealtimeError('unauthorised', 'nobody is signed in: there is no access token');
    if (token === this.#refused)
      throw new RealtimeError('unauthorised', 'the token was refused; a new one is needed');
    this.#held = token;
    return token;
  }
}
