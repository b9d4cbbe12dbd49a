/** A BEFORE trigger of the user's that answers null: Postgres calls that done. Nothing of the CRM's may be lost over it. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openHarness, type Harness } from './harness.ts';

let harness: Harness;
beforeEach(async () => {
  harness = await openHarness({ seed: { contacts: 10 } });
  await harness.probe();
  await harness.settle();
});
afterEach(async () => await harness.close());

const suppress = async (event: 'update' | 'delete'): Promise<void> => {
  await harness.sql(`create function public.keep() returns trigger language plpgsql as 'begin return null; end'`);
  await harness.sql(`create trigger keep before ${event} on crm.contacts for each row execute function public.keep()`);
};
const some = async (): Promise<{ id: number; crmId: number }> => {
  const [row] = await harness.sql('select id, crm_id from crm.contacts order by id limit 1');
  return { id: Number(row?.['id']), crmId: Number(row?.['crm_id']) };
};

describe('a trigger that suppresses a write of the daemon', () => {
  it('leaves an edit of the CRM parked, not overwritten by the next edit here', async () => {
    const { id, crmId } = await some();
    await suppress('update');
    harness.account.update(crmId, { city: 'Remote' });
    await harness.sync();
    expect(await harness.sql('select crm_id, error_code from sync.refused')).toEqual([{ crm_id: crmId, error_code: 'database_refused' }]);
    await harness.sql('drop trigger keep on crm.contacts');
    await harness.sql(`update crm.contacts set job_title = 'x' where id = $1`, [id]);
    await harness.settle();
    expect(harness.account.contact(crmId)).toMatchObject({ city: 'Remote', job_title: 'x' });
    expect(await harness.differences()).toEqual([]);
    expect(await harness.sql('select * from sync.refused')).toEqual([]);
  });

  it('leaves a removal parked, and its row and state as they were', async () => {
    const { id, crmId } = await some();
    await suppress('delete');
    harness.account.delete(crmId);
    await harness.sync();
    expect(await harness.sql('select crm_id from sync.refused')).toEqual([{ crm_id: crmId }]);
    expect(await harness.sql('select deleted_at from sync.contact_state where contact_id = $1', [id])).toEqual([{ deleted_at: null }]);
    await harness.sql('drop trigger keep on crm.contacts');
    await harness.settle();
    expect(await harness.differences()).toEqual([]);
  });
});
