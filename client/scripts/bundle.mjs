// Bundles what applications load, as Vite does, for size-limit: each file is minified here and gzipped there.

import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const folder = at('../node_modules/.cache/sizes');
const core = at('../dist/index.js');

/** What is loaded later, by those who need it, is not in it; nor is React. */
const LATER = ['./plain.js', './worker.js'];

const BUNDLES = {
  rooms: [`export { createClient, room } from ${JSON.stringify(core)}`, LATER],
  everything: [`export { createClient, feed, notifications, post, room } from ${JSON.stringify(core)}`, LATER],
  plain: [`export * from ${JSON.stringify(at('../dist/plain.js'))}`, ['./line.js', './store.js']],
  worker: [`export { serve } from ${JSON.stringify(core)}`, ['./plain.js']],
  react: [`export * from ${JSON.stringify(at('../dist/react/index.js'))}`, ['../index.js', 'react', 'react/jsx-runtime']],
};

rmSync(folder, { recursive: true, force: true });
for (const [name, [code, external]] of Object.entries(BUNDLES)) {
  const entry = {
    name: 'entry',
    resolveId: (id) => (id === 'entry' ? id : external.includes(id) ? { id, external: true } : null),
    load: (id) => (id === 'entry' ? code : null),
  };
  const bundle = await rolldown({ input: 'entry', plugins: [entry], onLog() {} });
  // As in what Vite writes, where no hints for other bundlers are left.
  await bundle.write({ file: `${folder}/${name}.js`, minify: true, comments: { annotation: false } });
}
