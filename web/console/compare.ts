// Settings of all processes, side by side. Pure.

import type { Process } from './answers.ts';

export interface Compared {
  name: string;
  /** Each different one once, with the processes that have it. */
  values: { value: string; source: string; processes: string[] }[];
  isChanged: boolean;
  /** Processes that have this setting do not agree. */
  isDifferent: boolean;
}

export function compared(processes: readonly Process[]): Compared[] {
  const all = new Map<string, Compared>();
  for (const { process, settings } of processes) {
    for (const { name, value, source } of settings) {
      const own = all.get(name) ?? { name, values: [], isChanged: false, isDifferent: false };
      const same = own.values.find((other) => other.value === value && other.source === source);
      if (same) same.processes.push(process);
      else own.values.push({ value, source, processes: [process] });
      own.isChanged ||= source !== 'default' && source !== 'unset';
      own.isDifferent = new Set(own.values.map((other) => other.value)).size > 1;
      all.set(name, own);
    }
  }
  return [...all.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Settings that have every word in their name or in a value. */
export function found(all: readonly Compared[], text: string, onlyChanged: boolean): Compared[] {
  const wanted = text.toLowerCase().split(/\s+/).filter(Boolean);
  return all.filter((own) => {
    const whole = [own.name, ...own.values.map(({ value }) => value)].join(' ').toLowerCase();
    return (!onlyChanged || own.isChanged || own.isDifferent) && wanted.every((word) => whole.includes(word));
  });
}
