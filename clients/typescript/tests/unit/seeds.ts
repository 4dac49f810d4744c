/** Numbers in 0..1 that `PLATEPAL_SEED` repeats; `seed` goes into what a failing test says. */
export function seeded(): (() => number) & { seed: number } {
  const seed = Number(process.env.PLATEPAL_SEED ?? Math.floor(Math.random() * 2 ** 31));
  let state = seed;
  // Mulberry32, public domain.
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  return Object.assign(next, { seed });
}
