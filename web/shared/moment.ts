// Moments as the tier writes them (`2026-11-24T11:30:00.123456+00:00`), and what time it is there.

/** Milliseconds since 1970 with the microseconds behind the point; `undefined`: this is no moment. */
export function parse(text: string): number | undefined {
  const ms = Date.parse(text);
  if (Number.isNaN(ms)) return undefined;
  const micros = /\.\d{3}(\d{1,3})/.exec(text)?.[1] ?? '';
  return ms + Number(micros.padEnd(3, '0')) / 1000;
}

/** In the time zone of whoever looks, to the millisecond. */
export function absolute(ms: number): string {
  const at = new Date(ms);
  const two = (value: number, digits = 2) => String(value).padStart(digits, '0');
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${two(at.getMilliseconds(), 3)}`;
  const offset = -at.getTimezoneOffset();
  const [sign, size] = [offset < 0 ? '−' : '+', Math.abs(offset)];
  return `${day} ${time} UTC${sign}${two(Math.floor(size / 60))}:${two(size % 60)}`;
}

/** How far the tier's clock is ahead of this one, from what it said lately. */
export class Clock {
  /** The newest say how far; what was told late says too little. */
  readonly #ahead: number[] = [];

  /** The tier says what time it is there. */
  told(now: string, here = Date.now()): void {
    const there = parse(now);
    if (there === undefined) return;
    this.#ahead.push(there - here);
    if (this.#ahead.length > 5) this.#ahead.shift();
  }

  now(here = Date.now()): number {
    return this.#ahead.length === 0 ? here : here + Math.max(...this.#ahead);
  }
}

/** The tier's, on this page. */
export const clock = new Clock();
