// The built package: what must survive the build, and what must not be in it.

import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

const at = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const read = (path: string) => readFileSync(at(path), 'utf8');
const described = JSON.parse(read('package.json'));

describe('the package', () => {
  it('says that what React renders is for clients', () => {
    for (const file of ['index', 'hooks', 'components']) expect(read(`dist/react/${file}.js`), file).toMatch(/^'use client';\n/);
    expect(read('dist/index.js')).not.toContain('use client');
  });

  it('needs nothing but React, and that only for its hooks', () => {
    expect(described.dependencies).toBeUndefined();
    expect(described.peerDependencies).toEqual({ react: '>=18' });
    expect(described.peerDependenciesMeta.react.optional).toBe(true);
    const files = readdirSync(at('dist'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.js'));
    const imported = files.flatMap((file) => [...read(`dist/${file}`).matchAll(/(?:from|import\() ?['"]([^'"]+)/g)].map(([, name]) => [file, name!]));
    expect(imported.length).toBeGreaterThan(20);
    for (const [file, name] of imported) {
      expect(name!.startsWith('.') || (file!.startsWith('react/') && /^react(\/jsx-runtime)?$/.test(name!)), `${file}: ${name}`).toBe(true);
    }
  });

  it('has what its entries promise', () => {
    for (const entry of ['.', './react', './push', './sw']) {
      for (const file of Object.values(described.exports[entry]) as string[]) expect(existsSync(at(file)), file).toBe(true);
    }
  });

  it('names no registry in its lock file', () => {
    expect(read('package-lock.json')).not.toMatch(/"resolved"|registry\./);
    expect(read('.npmrc')).toContain('omit-lockfile-registry-resolved=true');
  });

  it('is what the page of the server is made of', () => {
    // On another exit code it throws, with what to do.
    execFileSync(process.execPath, [at('scripts/web.mjs'), '--check'], { encoding: 'utf8' });
  });

  it('is used in its README as its types allow', () => {
    const folder = at('node_modules/.cache/readme');
    rmSync(folder, { recursive: true, force: true });
    mkdirSync(folder, { recursive: true });
    const blocks = [...read('README.md').matchAll(/^( *)```tsx?\n([^]*?)^ *```$/gm)];
    expect(blocks.length).toBeGreaterThan(3);
    blocks.forEach(([, indent, code], number) => writeFileSync(`${folder}/${number}.tsx`, `${code!.replaceAll(`\n${indent}`, '\n')}\nexport {};\n`));
    const compilerOptions = { ...JSON.parse(read('tsconfig.json')).compilerOptions, noUnusedLocals: false };
    writeFileSync(`${folder}/tsconfig.json`, JSON.stringify({ compilerOptions, include: ['*.tsx'] }));
    try {
      execFileSync(at('node_modules/.bin/tsc'), ['-p', folder], { encoding: 'utf8' });
    } catch (error) {
      expect((error as { stdout: string }).stdout).toBe('');
    }
    // A compiler, on a busy machine.
  }, 120_000);

  it('says in its README how large it is', () => {
    const limits: { limit: string }[] = JSON.parse(read('.size-limit.json'));
    const [rooms, everything, plain, , react] = limits.map(({ limit }) => Number.parseFloat(limit));
    const table = [...read('README.md').split('## Ten minutes')[0]!.matchAll(/\| ([\d.]+) kB \|/g)].map(([, size]) => Number(size));
    expect(table.length).toBe(4);
    [rooms, everything, react, plain].forEach((limit, row) => expect(table[row], `row ${row}`).toBeLessThanOrEqual(limit!));
  });

  it('runs without a page: nothing is connected, and nothing touched, by an import', async () => {
    const [core, react] = [await import('../dist/index.js'), await import('../dist/react/index.js')];
    expect(Object.keys(core).sort()).toEqual(['PregonError', 'createClient', 'feed', 'notifications', 'post', 'room', 'serve']);
    expect(Object.keys(react).sort()).toEqual([
      'ConnectionIndicator', 'PregonProvider', 'Toasts', 'errorText', 'useChatWebSocket', 'useClient', 'useConnection', 'useFeedWebSocket',
      'useNotifications', 'usePostWebSocket', 'usePresence',
    ]);
    const client = core.createClient();
    expect(client.connection.get()).toEqual({ state: 'idle' });
  });
});
