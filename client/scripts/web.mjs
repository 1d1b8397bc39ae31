// Writes ../web/pregon.js: this client in one file, for the page that the server brings along. `--check` only says whether it is as it should be.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const file = at('../../web/pregon.js');

const ENTRY = `export { createClient, feed, notifications, post, PregonError, room } from ${JSON.stringify(at('../src/index.ts'))};`;
/** The page talks to the server that it comes from, and without a SharedWorker: what it would never load is left out. */
const UNUSED = ['./plain.js', './worker.js'];

const entry = {
  name: 'entry',
  resolveId: (id) => (id === 'entry' ? id : UNUSED.includes(id) ? { id: `unused ${id}` } : null),
  load: (id) => (id === 'entry' ? ENTRY : id.startsWith('unused ') ? 'export {}' : null),
};
const bundle = await rolldown({ input: 'entry', plugins: [entry], onLog() {}, resolve: { extensionAlias: { '.js': ['.ts', '.js'] } } });
const { output } = await bundle.generate({ minify: true, codeSplitting: false });
const text = `// The client of ../client, made by \`make web\`. Change it there.\n${output[0].code}`;

if (!process.argv.includes('--check')) writeFileSync(file, text);
else if (readFileSync(file, 'utf8') !== text) {
  console.error('web/pregon.js is not made of this client: run `make web`.');
  process.exitCode = 1;
}
