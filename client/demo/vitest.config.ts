import { defineConfig } from 'vitest/config';

// What takes minutes and the network: `make next-demo`.
export default defineConfig({
  test: { include: ['demo/*.test.ts'], testTimeout: 900_000, hookTimeout: 900_000, fileParallelism: false },
});
