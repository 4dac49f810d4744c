import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'vite';
import { expect, test } from 'vitest';

const ENTRY = fileURLToPath(new URL('../../src/index.ts', import.meta.url));
/** Of everything with `centrifuge`, as Vite builds it for production, gzipped. */
const BYTES_MAX = 25_000;

/** What an application that uses this much of the package has of it. */
async function bundled(code: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'platepal-size-'));
  writeFileSync(join(folder, 'application.js'), code.replace('PACKAGE', JSON.stringify(ENTRY)));
  try {
    const built = await build({
      root: folder,
      configFile: false,
      logLevel: 'silent',
      build: {
        write: false,
        modulePreload: false,
        rolldownOptions: { input: join(folder, 'application.js') },
      },
    });
    const outputs = [built].flat().flatMap((one) => ('output' in one ? one.output : []));
    return outputs.map((one) => ('code' in one ? one.code : '')).join('');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const gzipped = (code: string) => gzipSync(code, { level: 9 }).length;

test('an application that uses all domains has at most 25 KB of it, with centrifuge', async () => {
  const whole = await bundled(
    'import { platepal } from PACKAGE; window.platepal = platepal({ token: "", env: import.meta.env });',
  );
  const one = await bundled(
    'import { connect, orders } from PACKAGE; window.order = orders(connect({ token: "" })).watch(1);',
  );
  console.log(`all domains ${gzipped(whole)} bytes, orders alone ${gzipped(one)}`);
  expect(gzipped(whole)).toBeLessThanOrEqual(BYTES_MAX);
  expect(gzipped(one)).toBeLessThan(gzipped(whole) - 1_500);
  expect(one).not.toContain('chat_message');
});

test('the plain socket comes without centrifuge', async () => {
  const socket = await bundled(
    'import { ReconnectingSocket } from PACKAGE; window.Socket = ReconnectingSocket;',
  );
  console.log(`the plain socket alone ${gzipped(socket)} bytes`);
  expect(gzipped(socket)).toBeLessThan(3_000);
  expect(socket).not.toContain('centrifuge');
});

test('an import of which nothing is used leaves nothing, and does nothing', async () => {
  expect((await bundled('import PACKAGE;')).trim()).toBe('');
  expect((await bundled('import * as all from PACKAGE;')).trim()).toBe('');
});
