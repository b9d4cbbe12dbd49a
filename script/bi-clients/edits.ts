/** The editor's way round: an edit of a column and of a custom field through a stack is in the bi views at once, and in the CRM after a sync. */
import { askProgram, type Ask } from './protocol.ts';
import type { Stack } from './stacks.ts';
import type { BiWorld } from './world.ts';

const FIELD = 'cf_employees';

export interface Edited {
  /** What was not as it should be in the database. */
  readonly wrong: readonly string[];
  /** After the sync: what is not as it should be in the CRM. */
  arrived(): readonly string[];
}

/** @param at its place among the stacks: each edits a contact of its own */
export const editThrough = async (world: BiWorld, stack: Stack, at: number): Promise<Edited> => {
  const { account, url } = world;
  const { id } = account.contacts()[at] ?? { id: 0 };
  const [city, value] = [`Zürich, by ${stack.name}`, 1_000 + at];
  const asks: readonly Ask[] = [
    {
      verb: 'write',
      name: 'edit',
      text: `update crm.contacts set city = '${city}', custom_fields = custom_fields || '{"${FIELD}": ${value}}' where crm_id = ${id}`,
    },
    { verb: 'query', name: 'read back', text: `select city, custom_fields->>'${FIELD}' as value from bi.contacts where crm_id = ${id}` },
  ];
  const [edit, readBack] = await askProgram(stack.command, url.editor, asks);
  const wrong = [
    ...(edit?.count === 1 ? [] : [`the edit: ${edit?.error ?? `${edit?.count} rows`}`]),
    ...(JSON.stringify(readBack?.rows) === JSON.stringify([[city, String(value)]])
      ? []
      : [`bi.contacts after the edit: ${readBack?.error ?? JSON.stringify(readBack?.rows)}`]),
  ];
  return {
    wrong,
    arrived: () => {
      const there = account.contact(id);
      return there?.city === city && there.custom[FIELD] === value
        ? []
        : [`the CRM has ${there?.city} and ${String(there?.custom[FIELD])}`];
    },
  };
};
