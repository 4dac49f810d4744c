// How numbers, sizes and times read. Pure.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });

/** Nothing was measured. */
export const NONE = '–';

/** `12,034` */
export function count(value: number): string {
  return whole.format(value);
}

/** How much in a second: `0`, `3.4`, `1,204`, `35.2K`. */
export function rate(value: number): string {
  if (value === 0) return '0';
  if (value < 0.05) return '<0.1';
  if (value < 10) return value.toFixed(1);
  return value < 10_000 ? whole.format(value) : short.format(value);
}

/** Milliseconds as one reads them: `0.42 ms`, `4.2 ms`, `420 ms`, `1.2 s`, `3 min`. */
export function delay(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return NONE;
  const size = Math.abs(ms);
  if (size === 0) return '0 ms';
  if (size < 0.01) return '<0.01 ms';
  if (size < 1) return `${ms.toFixed(2)} ms`;
  if (size < 9.95) return `${ms.toFixed(1)} ms`;
  if (size < 999.5) return `${Math.round(ms)} ms`;
  if (size < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms < 0 ? '−' : ''}${span(size)}`;
}

/** Between two clocks' readings: `+0.42 ms`, `−3 ms`. */
export function step(ms: number): string {
  return ms < 0 ? `−${delay(-ms)}` : `+${delay(ms)}`;
}

/** `512 B`, `1.5 KiB`, `380 MiB` */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let [size, unit] = [value, 0];
  while (size >= 1023.5 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 || size >= 99.5 ? Math.round(size) : size.toFixed(1)} ${units[unit]}`;
}

/** How long something lasts, by its two largest units: `3 s`, `5 min`, `2 h 5 min`, `3 d 4 h`. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  const pair = (large: string, rest: number, small: string) =>
    rest === 0 ? large : `${large} ${rest} ${small}`;
  if (hours < 24) return pair(`${hours} h`, minutes % 60, 'min');
  return pair(`${Math.floor(hours / 24)} d`, hours % 24, 'h');
}

/** `now`, `3 s ago`, `in 2 h` */
export function ago(ms: number): string {
  if (Math.abs(ms) < 1000) return 'now';
  return ms > 0 ? `${span(ms)} ago` : `in ${span(-ms)}`;
}

/** `1 event`, `3 events` */
export function many(value: number, one: string, more = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : more}`;
}
