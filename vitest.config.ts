import { defineConfig } from 'vitest/config';

/**
 * From outside: the built program (processes that are killed, a browser, servers that mean harm), and the schema bi as analysts ask it. They take as
 * long as all the others together, so `npm test` leaves them to `npm run test:program`; whoever names one of them gets it either way.
 */
const OF_PROGRAM = ['e2e', 'browser', 'security', 'bi'];
const isAskedFor = process.argv.some((argument) => OF_PROGRAM.some((folder) => argument.includes(`test/${folder}`)));

/** A file for the numbers of the run, for whoever adds them up. */
const results = process.env['TEST_RESULTS'];

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: isAskedFor ? [] : OF_PROGRAM.map((folder) => `test/${folder}/**`),
    globalSetup: ['test/global-setup.ts'],
    // Processes, not threads: a test may own a server, a signal handler or a working directory.
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 20_000,
    // A hook may start a PostgreSQL of its own, on a machine that is busy with the other worker.
    hookTimeout: 60_000,
    teardownTimeout: 30_000,
    // Leases, browsers and killed processes go by the clock: on a machine that is busy with something else one of 3,000 tests is late now and
    // then. CI asks once more, and says so; at a desk nothing is glossed over.
    retry: process.env['CI'] === undefined ? 0 : 1,
    reporters: results === undefined || results === '' ? ['default'] : ['default', ['json', { outputFile: results }]],
    coverage: {
      provider: 'v8',
      include: ['src/domain/**/*.ts'],
      reporter: ['text', 'json-summary'],
      // The domain decides what happens to people's data: a line no test reaches there is a decision nobody has looked at.
      thresholds: { lines: 100, branches: 100, functions: 100, statements: 100 },
    },
  },
});
