import { existsSync } from 'node:fs';
import { defineConfig } from '@playwright/test';

// The system's browser: none is downloaded.
const found = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
const executablePath = process.env.PLATEPAL_CHROMIUM ?? found ?? 'chromium';

export default defineConfig({
  testDir: 'tests/browser',
  outputDir: 'test-results',
  // A machine that is busy with other things is slow, and that is no fault of the page.
  timeout: 180_000,
  expect: { timeout: 30_000 },
  // Each worker starts a tier.
  workers: 1,
  reporter: [['list']],
  use: {
    headless: true,
    launchOptions: { executablePath, args: ['--no-sandbox'] },
  },
});
