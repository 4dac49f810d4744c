// A payload, laid out.

export function Json({ value, name }: { value: unknown; name: string }) {
  // It scrolls by itself, so the keyboard must reach it.
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls
    <section class="json" aria-label={name} tabIndex={0}>
      <pre>{JSON.stringify(value, null, 2)}</pre>
    </section>
  );
}
