/**
 * Many contacts: the full load in both modes, and bulk edits with plain SQL within the CRM's rate. `SCALE` contacts, 300 by default;
 * `npm run scale` runs it with 10,000.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { openHarness, type Harness } from './harness.ts';

let harness: Harness;
afterEach(async () => await harness.close());

const CONTACTS = Number(process.env['SCALE'] ?? 300);
const PATIENCE_MS = 600_000;
const RATE_PER_MINUTE = 6000;

describe.each(['documented', 'upstream'] as const)(`${CONTACTS} contacts in %s mode`, (mode) => {
  it(
    'are mirrored field by field and link by link; a second sync writes nothing, in calls that do not depend on their number',
    async () => {
      harness = await openHarness({ mode, seed: { contacts: CONTACTS } });
      await harness.probe();
      expect(await harness.sync()).toBeNull();
      expect(await harness.differences(mode === 'upstream' ? undefined : ['companies', 'deals'])).toEqual([]);

      const before = await harness.tuples();
      harness.account.calls.clear();
      expect(await harness.sync()).toBeNull();
      expect(harness.account.calls.count()).toBe(mode === 'upstream' ? 2 : 1);
      expect(await harness.tuples()).toEqual(before);
    },
    PATIENCE_MS,
  );
});

describe(`bulk edits at ${RATE_PER_MINUTE} calls a minute`, () => {
  it(
    'an UPDATE of every row and a COPY of a tenth as many new ones are pushed, one call each, without a 429',
    async () => {
      harness = await openHarness({
        seed: { contacts: CONTACTS },
        ratePerMinute: RATE_PER_MINUTE,
        share: 0.9,
        settings: { freshMs: 1000 },
      });
      await harness.probe();
      expect(await harness.sync()).toBeNull();
      harness.account.calls.clear();
      await harness.sql(`update crm.contacts set job_title = 'bulk ' || id`);
      const added = Math.ceil(CONTACTS / 10);
      // The server's own COPY, fed by a program: the driver does not speak the protocol of COPY FROM STDIN.
      await harness.sql(`copy crm.contacts (first_name, email) from program 'seq -f New,new%g@example.test ${added}' with (format csv)`);
      await harness.settle();
      const writes = harness.account.calls.calls.filter(({ method }) => method !== 'GET');
      expect(harness.account.calls.count('update')).toBe(CONTACTS);
      expect(harness.account.calls.count('create')).toBe(added);
      expect(writes).toHaveLength(CONTACTS + added);
      // Looking whether somebody edited meanwhile is the small part.
      expect(harness.account.calls.count()).toBeLessThan(writes.length * 1.1 + 20);
      expect(harness.account.calls.calls.filter(({ status }) => status === 429)).toEqual([]);
      expect(await harness.differences()).toEqual([]);
    },
    PATIENCE_MS,
  );
});
