/** What a call says of the CRM, and for how long. */
import { expect, it } from 'vitest';
import { createCrmHealth } from '../../src/runtime/crm-health.ts';
import { FakeClock } from '../crm/fake-clock.ts';

it('knows nothing before the first call, and nothing any more minutes after the last one', async () => {
  const clock = new FakeClock();
  const health = createCrmHealth(clock);
  expect(health.last()).toBeNull();
  health.callEnded({ endpoint: 'list', outcome: 'unauthorized', seconds: 1 });
  await clock.advance(299_000);
  expect(health.last()).toEqual({ up: false, code: 'unauthorized', needsPerson: true, ageMs: 299_000 });
  // Paused, say: nobody asks the CRM, which may have come back long ago.
  await clock.advance(1_000);
  expect(health.last()).toBeNull();
  health.callEnded({ endpoint: 'list', outcome: 'ok', seconds: 1 });
  expect(health.last()).toEqual({ up: true, code: null, needsPerson: false, ageMs: 0 });
});

it('is told nothing by a call that was not made', () => {
  const health = createCrmHealth(new FakeClock());
  health.callEnded({ endpoint: 'list', outcome: 'timeout', seconds: 1 });
  health.callEnded({ endpoint: 'list', outcome: 'aborted', seconds: 0 });
  expect(health.last()).toMatchObject({ up: false, code: 'timeout' });
});
