// The tier's mark: a pulse.

export function Brand() {
  return (
    <>
      <svg class="mark" viewBox="0 0 16 16" width="22" height="22" aria-hidden="true">
        <rect width="16" height="16" rx="4" fill="var(--accent-solid)" />
        <path
          d="M2.5 9h2.6l1.7-4.5 2.4 7L11 9h2.5"
          fill="none"
          stroke="#fff"
          stroke-width="1.6"
          stroke-linecap="round"
          stroke-linejoin="round"
        />
      </svg>
      <span>
        PlatePal <b>Realtime</b>
      </span>
    </>
  );
}
