// What every browser test has: a tier, a relay before it, and pages with the package in them.

import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type BrowserContext, test as base, type Page } from '@playwright/test';
import { build } from 'esbuild';
import { Relay, Tier, tokenFor } from '../servers.ts';

export { expect } from '@playwright/test';
export { until } from '../servers.ts';

interface World {
  tier: Tier;
  relay: Relay;
  /** Another page of the same browser, so another tab, or one of another browser. */
  tab(context?: BrowserContext): Promise<Page>;
}

interface Shared {
  origin: string;
}

async function bundle(): Promise<string> {
  const entry = fileURLToPath(new URL('../page/page.tsx', import.meta.url));
  const { outputFiles } = await build({
    entryPoints: [entry],
    bundle: true,
    write: false,
    format: 'esm',
    jsx: 'automatic',
    define: { 'process.env.NODE_ENV': '"development"' },
  });
  return outputFiles[0]?.text ?? '';
}

export const test = base.extend<World, Shared>({
  origin: [
    // biome-ignore lint/correctness/noEmptyPattern: Playwright reads from it what is needed
    async ({}, use) => {
      const script = await bundle();
      const server: Server = createServer((asked, answer) => {
        if (asked.url === '/page.js') return answer.setHeader('Content-Type', 'text/javascript').end(script);
        return answer
          .setHeader('Content-Type', 'text/html')
          .end('<!doctype html><title>page</title><script type="module" src="/page.js"></script>');
      });
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      await use(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
      server.closeAllConnections();
      server.close();
    },
    { scope: 'worker' },
  ],
  tier: async ({ origin }, use) => {
    const tier = await Tier.start({
      REALTIME_ALLOWED_ORIGINS: origin,
      REALTIME_BUS_RETENTION_EVENTS: '50000',
    });
    await use(tier);
    await tier.close();
  },
  relay: async ({ tier }, use) => {
    const relay = await Relay.to(tier.port);
    await use(relay);
    await relay.close();
  },
  tab: async ({ context, origin }, use) => {
    await use(async (other = context) => {
      const page = await other.newPage();
      page.on('pageerror', (error) => {
        throw error;
      });
      await page.exposeFunction('newToken', (user: number, seconds: number) => tokenFor(user, {}, seconds));
      await page.goto(origin);
      await page.waitForFunction(() => window.sdk !== undefined);
      return page;
    });
  },
});
