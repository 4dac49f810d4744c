// One page at a time; `PAGE` says which. `npm run dev` serves the console's page and passes its calls on to a running console.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vite';

/** Libraries that are part of every page: what is handed on holds their licences. */
const LIBRARIES = ['preact', 'uplot'];
const licences = LIBRARIES.map((name) => {
  const text = readFileSync(new URL(`node_modules/${name}/LICENSE`, import.meta.url), 'utf8');
  return `${name}\n\n${text.trim()}`;
});
const page = process.env.PAGE ?? 'console';

export default defineConfig({
  root: fileURLToPath(new URL(page, import.meta.url)),
  // Whatever is before it may serve it below a path.
  base: './',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    target: 'es2022',
    sourcemap: false,
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    // The binary names these files: no hashes, and no others.
    rolldownOptions: {
      output: {
        codeSplitting: false,
        postBanner: `/*!\n${licences.join('\n\n')}\n*/`,
        entryFileNames: `${page}.js`,
        assetFileNames: `${page}[extname]`,
      },
    },
  },
  server: { proxy: { '/api': process.env.CONSOLE_URL ?? 'http://127.0.0.1:9091' } },
});
