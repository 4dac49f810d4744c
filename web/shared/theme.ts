// Dark or light: the system's choice, or one's own, which this browser remembers.

export const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

const KEY = 'platepal-theme';

export function chosen(): Theme {
  try {
    const stored = localStorage.getItem(KEY);
    return THEMES.find((theme) => theme === stored) ?? 'system';
  } catch {
    // Not allowed to remember anything.
    return 'system';
  }
}

export function choose(theme: Theme): void {
  try {
    localStorage.setItem(KEY, theme);
  } catch {
    // Then it holds for this page.
  }
  apply(theme);
}

export function apply(theme: Theme): void {
  if (theme === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  window.dispatchEvent(new Event('theme'));
}

/** Calls when colours have changed; the result ends that. */
export function onTheme(changed: () => void): () => void {
  const system = matchMedia('(prefers-color-scheme: dark)');
  window.addEventListener('theme', changed);
  system.addEventListener('change', changed);
  return () => {
    window.removeEventListener('theme', changed);
    system.removeEventListener('change', changed);
  };
}

/** What a custom property of the design is now. */
export function colour(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
