/** What a person decides about a contact as a whole, and what the policy table takes. */
import { afterEach, describe, expect, it } from 'vitest';
import { openHarness, type Harness } from './harness.ts';

let harness: Harness;
afterEach(async () => await harness.close());

const MODES = ['documented', 'upstream'] as const;

/** Deleted there and edited here under the policy manual; answers the row's id, the CRM's, and the open conflict's. */
const fight = async (mode: (typeof MODES)[number]) => {
  harness = await openHarness({ mode, settings: { conflictPolicy: 'manual' } });
  harness.account.create({ first_name: 'Somebody else' });
  const { id: crmId } = harness.account.create({ first_name: 'Contested' });
  await harness.probe();
  await harness.settle();
  harness.account.delete(crmId);
  const [row] = await harness.sql(`update crm.contacts set city = 'here' where crm_id = $1 returning id`, [crmId]);
  await harness.settle();
  const open = await harness.sql(`select id, field from sync.conflicts where state = 'open'`);
  expect(open).toMatchObject([{ field: 'contact' }]);
  return { id: Number(row?.['id']), crmId, conflict: Number(open[0]?.['id']) };
};
const KINDS = ['companies', 'deals'] as const;

describe.each(MODES)('a contact that was deleted there and edited here, under the policy manual (%s)', (mode) => {
  it('decided for the CRM, is read once more and goes', async () => {
    const { id, conflict } = await fight(mode);
    await harness.sql('select sync.resolve($1, $2)', [conflict, 'crm']);
    await harness.settle();
    await harness.sync();
    expect(await harness.sql('select id from crm.contacts where id = $1', [id])).toEqual([]);
    expect(await harness.sql('select outcome, state from sync.conflicts')).toEqual([{ outcome: 'crm', state: 'decided' }]);
    expect(await harness.sql('select state from sync.change_log where settled_at is null')).toEqual([]);
    expect(await harness.differences(KINDS)).toEqual([]);
  });

  it('decided for the mirror, lives on in the CRM with the edit', async () => {
    const { id, crmId, conflict } = await fight(mode);
    await harness.sql('select sync.resolve($1, $2)', [conflict, 'mirror']);
    await harness.settle();
    const [row] = await harness.sql('select crm_id, city from crm.contacts where id = $1', [id]);
    expect(row).toMatchObject({ city: 'here' });
    // Restored where there is a trash, created anew where there is none.
    expect(Number(row?.['crm_id']) === crmId).toBe(mode === 'upstream');
    expect(await harness.sql('select outcome, state from sync.conflicts')).toEqual([{ outcome: 'mirror', state: 'decided' }]);
    expect(await harness.sql('select gone_at from sync.contact_state where contact_id = $1', [id])).toEqual([{ gone_at: null }]);
    expect(await harness.differences(KINDS)).toEqual([]);
    // Later edits flow as ever.
    await harness.sql(`update crm.contacts set city = 'later' where id = $1`, [id]);
    await harness.settle();
    expect(harness.account.contact(Number(row?.['crm_id']))).toMatchObject({ city: 'later' });
  });

  it('decided for the CRM, and restored there before it could be read: the row stays', async () => {
    const { id, crmId, conflict } = await fight(mode);
    harness.account.restore(crmId);
    await harness.sql('select sync.resolve($1, $2)', [conflict, 'crm']);
    await harness.settle();
    expect(await harness.sql('select crm_id::int from crm.contacts where id = $1', [id])).toEqual([{ crm_id: crmId }]);
  });
});

describe('sync.resolve', () => {
  it('refuses what is no decision, and what was decided', async () => {
    const { conflict } = await fight('upstream');
    await expect(harness.sql('select sync.resolve($1, $2)', [conflict, '"Rome"'])).rejects.toThrow(/decided by crm or mirror/);
    await harness.sql('select sync.resolve($1, $2)', [conflict, 'mirror']);
    await expect(harness.sql('select sync.resolve($1, $2)', [conflict, 'crm'])).rejects.toThrow(/was decided already/);
    await expect(harness.sql('select sync.resolve(4711, $1)', ['crm'])).rejects.toThrow(/there is no conflict 4711/);
  });
});

describe('sync.field_policy', () => {
  it('takes fields, custom fields and contact, and refuses a misspelt one at once', async () => {
    harness = await openHarness();
    await harness.sql(
      `insert into sync.field_policy values ('email', 'crm'), ('phones', 'mirror'), ('cf_score', 'manual'), ('contact', 'crm')`,
    );
    await expect(harness.sql(`insert into sync.field_policy values ('e-mail', 'crm')`)).rejects.toThrow(/field_policy_field_known/);
    await expect(harness.sql(`insert into sync.field_policy values ('city', 'theirs')`)).rejects.toThrow(/field_policy_known/);
  });
});
