// From rows with times to the columns that a plot draws. Pure.

/** Times in seconds, then a column of values per line; null: there is nothing to draw. */
export type Columns = [number[], ...(number | null)[][]];

/** After a pause of so many usual steps a line is broken. */
const PAUSE_STEPS = 3;

/**
 * One column per pick. Where rows are missing, as after a restart, an empty row breaks the lines: nobody knows what was
 * there.
 */
export function columns<T>(
  rows: readonly T[],
  seconds: (row: T) => number,
  picks: readonly ((row: T) => number | null)[],
): Columns {
  const times: number[] = [];
  const lines: (number | null)[][] = picks.map(() => []);
  const usual = usualStep(rows.map(seconds));
  let before: number | undefined;
  for (const row of rows) {
    const time = seconds(row);
    if (before !== undefined && usual !== undefined && time - before > usual * PAUSE_STEPS) {
      times.push(before + usual);
      for (const line of lines) line.push(null);
    }
    times.push(time);
    picks.forEach((pick, index) => {
      lines[index]?.push(pick(row));
    });
    before = time;
  }
  return [times, ...lines];
}

/** The middle one of all steps; `undefined`: there is none. */
export function usualStep(times: readonly number[]): number | undefined {
  const steps = times.slice(1).map((time, index) => time - (times[index] ?? time));
  steps.sort((a, b) => a - b);
  return steps[Math.floor(steps.length / 2)];
}

/** Places of values that have no neighbour: no line reaches them, so they are drawn as dots. */
export function alone(values: readonly (number | null | undefined)[]): number[] {
  const has = (index: number) => values[index] !== null && values[index] !== undefined;
  return values.flatMap((_, index) => (has(index) && !has(index - 1) && !has(index + 1) ? [index] : []));
}

/** The newest value of a line; null: nothing was measured then. */
export function newest(values: readonly (number | null)[] | undefined): number | null {
  return values?.at(-1) ?? null;
}
