/** Adds up the JSON results of test runs, given as files, and says so in one line. A file that is missing is a run that did not end. */
import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';

const Results = z.object({ numPassedTests: z.number(), numFailedTests: z.number(), success: z.boolean() });

const files = process.argv.slice(2);
let passed = 0;
let failed = 0;
for (const file of files) {
  if (!existsSync(file)) {
    failed += 1;
    continue;
  }
  const results = Results.parse(JSON.parse(readFileSync(file, 'utf8')));
  passed += results.numPassedTests;
  // A file that could not be loaded has no tests that failed.
  failed += results.success ? 0 : Math.max(1, results.numFailedTests);
}
console.log(`${passed} passed, ${failed} failed`);
