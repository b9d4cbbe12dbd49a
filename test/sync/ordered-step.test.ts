/** What one step of a contact's edits makes of the contact: pure, over a situation read from the fake. */
import { beforeEach, describe, expect, it } from 'vitest';
import type { ContactFields, CustomFieldDefs } from '../../src/domain/contact.ts';
import { contentHash, NO_LINKS } from '../../src/domain/contact.ts';
import type { Situation, Step, StepEdit } from '../../src/ports/mirror.ts';
import { arrivedOps, showStep } from '../../src/sync/ordered-step.ts';
import { fieldsToPush } from '../../src/sync/plan.ts';
import { createFakeMirror, type FakeMirror } from '../fakes/fake-mirror.ts';
import { fieldsWith, newContact, NO_WRITE, pairedContacts, situation } from '../contract/mirror-harness.ts';

const DEFS: CustomFieldDefs = new Map();
const NOTHING = new Set<never>();
let mirror: FakeMirror;
let id = 0;
beforeEach(async () => {
  mirror = createFakeMirror({ lease: { epoch: () => 1 } });
  [id = 0] = await pairedContacts(
    mirror,
    newContact(7, { city: 'A', phones: [{ number: '1', type: 'mobile' }] }, { companies: [1], deals: [] }),
  );
});

type Values = { readonly [field: string]: unknown };
const update = (before: Values, after: Values): StepEdit => ({ op: 'update', before, after, link: null });
const OWN: StepEdit = { op: 'update', before: null, after: null, link: null };
/** The step, with the row holding what the newest edits set, but for what is said otherwise. */
const stepOf = (edits: readonly StepEdit[], holds: Values = {}): Step => {
  const set = Object.assign({}, ...edits.map(({ after }) => after ?? {})) as Values;
  return { edits, newest: new Map(Object.entries(set).map(([field, value]) => [field, { set: value, holds: holds[field] ?? value }])) };
};
const read = (): Promise<Situation> => situation(mirror, id);
/** What would be sent. */
const sends = (shown: Situation): readonly (readonly [string, unknown])[] => {
  const { row, ...rest } = shown;
  if (row === null) throw new Error('the row is gone');
  return fieldsToPush({ ...rest, row }, DEFS).map((name) => [
    name,
    row.fields[name as keyof ContactFields] ?? row.fields.custom_fields[name],
  ]);
};
const phones = (...list: readonly (readonly [string, string])[]) => list.map(([number, type]) => ({ number, type }));

describe('the fields of a step', () => {
  it('are its own, whatever the row holds by now', async () => {
    await mirror.edit((user) => user.update(id, { city: 'later', street: 'later' }));
    expect(sends(showStep(await read(), stepOf([update({ city: 'A' }, { city: 'B' })]), NOTHING, DEFS))).toEqual([['city', 'B']]);
  });

  it('are the last values of edits that go together, the phones of each after the other', async () => {
    const edits = [
      update({ city: 'A', phones: phones(['1', 'mobile']) }, { city: 'B', phones: phones(['1', 'mobile'], ['2', 'work']) }),
      update({ city: 'B', phones: phones(['1', 'mobile'], ['2', 'work']) }, { city: 'C', phones: phones(['2', 'work']) }),
    ];
    expect(sends(showStep(await read(), stepOf(edits), NOTHING, DEFS))).toEqual([
      ['city', 'C'],
      ['phones', phones(['2', 'work'])],
    ]);
  });

  it('leave out what lost to the CRM: the row no longer holds what the newest edit set', async () => {
    const step = stepOf([update({ city: 'A', street: null }, { city: 'B', street: 'S' })], { city: 'theirs' });
    expect(sends(showStep(await read(), step, NOTHING, DEFS))).toEqual([['street', 'S']]);
  });

  it('leave a phone’s type to the CRM where that has won, and change the rest of the list', async () => {
    const { contactId } = await read();
    const fields = fieldsWith({ city: 'A', phones: [{ number: '1', type: 'other' }] });
    const base = { fields, hash: contentHash(fields), links: { companies: [1], deals: [], activities: null } };
    await mirror.transaction((tx) => tx.save([{ ...NO_WRITE, contactId, fields, addLinks: NO_LINKS, removeLinks: NO_LINKS, base }]));
    const edit = update({ phones: phones(['1', 'mobile']) }, { phones: phones(['1', 'work'], ['2', 'work']) });
    const shown = showStep(await read(), stepOf([edit], { phones: phones(['1', 'other'], ['2', 'work']) }), NOTHING, DEFS);
    expect(sends(shown)).toEqual([['phones', phones(['1', 'other'], ['2', 'work'])]]);
  });

  it('are not sent again once they were answered', async () => {
    const step = stepOf([update({ city: 'A' }, { city: 'B' })]);
    expect(sends(showStep(await read(), step, new Set(['update'] as const), DEFS))).toEqual([]);
  });

  it('are read as Postgres holds them: a phone without a type, a number that is one', async () => {
    const step = stepOf([update({ phones: [] }, { phones: [{ number: 41 }] })]);
    expect(sends(showStep(await read(), step, NOTHING, DEFS))).toEqual([['phones', phones(['1', 'mobile'], ['41', 'mobile'])]]);
  });
});

describe('what has no edit of its own', () => {
  it('is the whole difference, unless an edit is pending', async () => {
    await mirror.edit((user) => user.update(id, { city: 'B' }));
    expect(sends(showStep(await read(), stepOf([OWN]), NOTHING, DEFS))).toEqual([]);
    const settled = { ...(await read()), open: { ...(await read()).open, states: new Set(['sending'] as const) } };
    expect(sends(showStep(settled, stepOf([OWN]), NOTHING, DEFS))).toEqual([['city', 'B']]);
  });
});

describe('a deletion', () => {
  const DELETION: StepEdit = { op: 'delete', before: {}, after: null, link: null };

  it('is seen where the row is gone, and changes nothing where it came back', async () => {
    const back = showStep(await read(), stepOf([DELETION]), NOTHING, DEFS);
    expect(sends(back)).toEqual([]);
    await mirror.edit((user) => user.delete(id));
    expect(showStep(await read(), stepOf([DELETION]), NOTHING, DEFS).row).toBeNull();
  });

  it('that comes later hides the row from no step before it', async () => {
    await mirror.edit((user) => user.delete(id));
    expect(sends(showStep(await read(), { ...stepOf([update({ city: 'A' }, { city: 'B' })]), newest: new Map() }, NOTHING, DEFS))).toEqual([
      ['city', 'B'],
    ]);
  });
});

describe('what has arrived', () => {
  const attach = (company: number): StepEdit => ({ op: 'attach', before: null, after: null, link: { kind: 'companies', id: company } });

  it('is what base holds of the step', async () => {
    const contact = await read();
    const of = (edit: StepEdit) => arrivedOps(contact, stepOf([edit]), DEFS);
    expect(of(update({ city: 'B' }, { city: 'A' }))).toEqual(['update']);
    expect(of(update({ city: 'A' }, { city: 'B' }))).toEqual([]);
    expect(of(attach(1))).toEqual(['attach']);
    expect(of(attach(2))).toEqual([]);
    expect(of({ ...attach(2), op: 'detach' })).toEqual(['detach']);
    expect(of({ ...attach(1), op: 'detach' })).toEqual([]);
    // Nobody knows the activities.
    expect(of({ ...attach(2), op: 'detach', link: { kind: 'activities', id: 2 } })).toEqual([]);
    expect(of({ op: 'delete', before: {}, after: null, link: null })).toEqual([]);
    expect(of(OWN)).toEqual([]);
  });
});
