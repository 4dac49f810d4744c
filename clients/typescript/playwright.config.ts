import { existsSync } from 'node:fs';
import { defineConfig } from '@playwright/test';

// The system's browser: none is downloaded.
const found = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
const executablePath = process.env.PLATEPAL_CHROMIUM ?? found;

export default defineConfig({
  testDir: 'tests/browser',
  outputDir: 'test-results',
  timeout: 90_000,
  // Frame times are measured: nothing else of these tests runs meanwhile.
  workers: 1,
  reporter: [['list']],
  use: {
    headless: true,
    launchOptions: { executablePath, args: ['--no-sandbox', '--enable-precise-memory-info'] },
  },
});
