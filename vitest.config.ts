import { defineConfig } from 'vitest/config';

/** A file for the numbers of the run, for whoever adds them up. */
const results = process.env['TEST_RESULTS'];

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    globalSetup: ['test/global-setup.ts'],
    // Processes, not threads: a test may own a server, a signal handler or a working directory.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    // A hook may start a PostgreSQL of its own, on a machine that is busy with the other worker.
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
    reporters: results === undefined ? ['default'] : ['default', ['json', { outputFile: results }]],
    coverage: {
      provider: 'v8',
      include: ['src/domain/**/*.ts'],
      reporter: ['text', 'json-summary'],
      // The domain decides what happens to people's data: a line no test reaches there is a decision nobody has looked at.
      thresholds: { lines: 100, branches: 100, functions: 100, statements: 100 },
    },
  },
});
