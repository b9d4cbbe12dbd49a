/** Definitions of the account's custom fields: as its list declares them, as records teach them. */
import type { CustomFieldDef } from '../domain/contact.ts';
import type { Mirror, MirrorTx } from '../ports/mirror.ts';
import type { Query, Session } from './mirror-session.ts';
import {
  CUSTOM_FIELD_LIST,
  CUSTOM_FIELDS,
  CUSTOM_FIELDS_READ,
  REVIVE_CUSTOM_FIELDS,
  SAVE_CUSTOM_FIELDS,
  UNLIST_CUSTOM_FIELDS,
  WANT_CUSTOM_FIELDS,
} from './sql/custom-fields.ts';

export const createCustomFieldReads = (query: Query): Pick<Mirror, 'customFields' | 'customFieldList'> => ({
  customFields: async () => {
    const { rows } = await query<CustomFieldDef>(CUSTOM_FIELDS);
    return new Map(rows.map((def) => [def.name, def]));
  },
  customFieldList: async () => {
    const { rows } = await query<{ read_at: Date | null; wanted_at: Date | null }>(CUSTOM_FIELD_LIST);
    return { readAt: rows[0]?.read_at ?? null, wantedAt: rows[0]?.wanted_at ?? null };
  },
});

const save = async (session: Session, defs: readonly CustomFieldDef[]): Promise<void> => {
  // A list may name a field twice: the last one stands; the statement could not update a row twice.
  const latest = [...new Map(defs.map((def) => [def.name, def])).values()];
  if (latest.length > 0) await session.query(SAVE_CUSTOM_FIELDS, [JSON.stringify(latest)]);
};

export const createCustomFieldSteps = (
  session: Session,
): Pick<MirrorTx, 'saveCustomFields' | 'declareCustomFields' | 'wantCustomFields' | 'reviveCustomFields'> => ({
  saveCustomFields: (defs) => save(session, defs),
  declareCustomFields: async (defs) => {
    await save(session, defs);
    await session.query(UNLIST_CUSTOM_FIELDS, [defs.map((def) => def.name)]);
    await session.query(CUSTOM_FIELDS_READ);
  },
  wantCustomFields: async () => {
    await session.query(WANT_CUSTOM_FIELDS);
  },
  reviveCustomFields: async (names) => {
    if (names.length > 0) await session.query(REVIVE_CUSTOM_FIELDS, [names]);
  },
});
