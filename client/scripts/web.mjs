// Writes ../web/pregon.js and ../web/sw.js: this client and its service worker in a file each, for the page that the server brings along.
// `--check` only says whether they are as they should be.

import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { rolldown } from 'rolldown';

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const from = (path) => JSON.stringify(at(path));

const CLIENT = `export { createClient, feed, notifications, post, PregonError, room } from ${from('../src/index.ts')};
export { pushState, subscribePush, unsubscribePush } from ${from('../src/push.ts')};`;
/** It takes over at once: a page of an older release is told of the same. */
const WORKER = `import { handlePush } from ${from('../src/sw.ts')};
handlePush({ icon: '/page/logo.svg' });`;
/** The page talks to the server that it comes from, and without a SharedWorker: what it would never load is left out. */
const UNUSED = ['./plain.js', './worker.js'];

for (const [name, source] of [['pregon.js', CLIENT], ['sw.js', WORKER]]) {
  const entry = {
    name: 'entry',
    resolveId: (id) => (id === 'entry' ? id : UNUSED.includes(id) ? { id: `unused ${id}` } : null),
    load: (id) => (id === 'entry' ? source : id.startsWith('unused ') ? 'export {}' : null),
  };
  const bundle = await rolldown({ input: 'entry', plugins: [entry], onLog() {}, resolve: { extensionAlias: { '.js': ['.ts', '.js'] } } });
  const { output } = await bundle.generate({ minify: true, codeSplitting: false });
  const text = `// Made of ../client by \`make web\`. Change it there.\n${output[0].code}`;
  const file = at(`../../web/${name}`);
  if (!process.argv.includes('--check')) writeFileSync(file, text);
  else if (readFileSync(file, 'utf8') !== text) {
    console.error(`web/${name} is not made of this client: run \`make web\`.`);
    process.exitCode = 1;
  }
}
