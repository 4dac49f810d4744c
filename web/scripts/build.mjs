// Builds every page into the crate that embeds it; `--check` compares instead, and says what differs.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

/** A page's folder here, and where its files are embedded. */
const PAGES = { console: 'crates/console/page' };

const top = fileURLToPath(new URL('../../', import.meta.url));
const configFile = fileURLToPath(new URL('../vite.config.ts', import.meta.url));
const isCheck = process.argv.includes('--check');

async function buildInto(page, outDir) {
  process.env.PAGE = page;
  await build({ configFile, logLevel: isCheck ? 'warn' : 'info', build: { outDir, emptyOutDir: true } });
}

const read = (folder, name) => {
  try {
    return readFileSync(join(folder, name));
  } catch {
    return undefined;
  }
};

/** Names of files that are not the same in both. */
function different(one, other) {
  const list = (folder) => {
    try {
      return readdirSync(folder);
    } catch {
      return [];
    }
  };
  const names = new Set([...list(one), ...list(other)]);
  return [...names].filter((name) => {
    const [left, right] = [read(one, name), read(other, name)];
    return !left || !right || !left.equals(right);
  });
}

for (const [page, place] of Object.entries(PAGES)) {
  if (!isCheck) {
    await buildInto(page, join(top, place));
    continue;
  }
  const folder = mkdtempSync(join(tmpdir(), `platepal-${page}-`));
  try {
    await buildInto(page, folder);
    const names = different(folder, join(top, place));
    if (names.length > 0) {
      const files = names.map((name) => `${place}/${name}`).join(', ');
      console.error(`not what web/${page} builds: ${files}\nrun \`npm run build\` in web/, and commit them`);
      process.exitCode = 1;
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
