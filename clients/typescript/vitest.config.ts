import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['tests/unit/**/*.test.ts', 'tests/unit/**/*.test.tsx', 'tests/tier/**/*.test.ts'],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // One tier a file; two of them at a time are enough for a small machine.
    maxWorkers: 2,
  },
});
