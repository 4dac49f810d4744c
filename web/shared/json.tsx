// A payload, laid out.

export function Json({ value, name }: { value: unknown; name: string }) {
  // It scrolls by itself, so the keyboard must reach it. No landmark: a page may have a hundred.
  return (
    // biome-ignore-start lint/a11y: what it says of such elements concerns forms, and those that do not scroll
    <div class="json" role="group" aria-label={name} tabIndex={0}>
      <pre>{JSON.stringify(value, null, 2)}</pre>
    </div>
    // biome-ignore-end lint/a11y: what it says of such elements concerns forms, and those that do not scroll
  );
}
