/** The mirror for those who only look, on Postgres: every statement in a transaction that is read only by the server's own word. */
import type pg from 'pg';
import type { HeldLine, MirrorReads, MirrorView, OpenConflict, OpenEdit, ParkedContact, RefusedRecord } from '../ports/mirror-view.ts';
import { createAccountReads } from './mirror-account.ts';
import { createCustomFieldReads } from './mirror-custom-fields.ts';
import { createAuditReads } from './mirror-audit.ts';
import { createBrakeReads } from './mirror-brake.ts';
import { createNoteReads } from './mirror-notes.ts';
import { toEdit, type LoggedEdit } from './mirror-ordered.ts';
import { createPairingReads } from './mirror-pairing.ts';
import { createPeekReads } from './mirror-read.ts';
import { queryOn, type Query } from './mirror-session.ts';
import {
  CRM_URL,
  HELD_IN,
  HELD_LINES,
  IS_THERE,
  LEADERS_BUDGET,
  OPEN_CONFLICTS,
  OPEN_CONTACTS,
  OPEN_EDITS,
  PAIRED_IDS,
  PARKED_CONTACTS,
  REFUSED_RECORDS,
} from './sql/view.ts';

const BEGIN = 'begin transaction isolation level read committed, read only';

const readOnly = async <T>(pool: pg.Pool, steps: (query: Query) => Promise<T>): Promise<T> => {
  const client = await pool.connect();
  const ignore = (): void => undefined;
  client.on('error', ignore);
  let broken: Error | undefined;
  try {
    await client.query(BEGIN);
    return await steps(queryOn(client));
  } finally {
    await client.query('rollback').catch((cause: unknown) => {
      broken = cause instanceof Error ? cause : new Error('rollback failed', { cause });
    });
    client.off('error', ignore);
    client.release(broken);
  }
};

const createReads = (query: Query): MirrorReads => ({
  ...createPeekReads(query),
  ...createPairingReads(query),
  ...createNoteReads(query),
  ...createBrakeReads(query),
});

export const createMirrorView = (pool: pg.Pool): MirrorView => {
  const query: Query = async (sql, values) => await readOnly(pool, (run) => run(sql, values));
  const ids = async (sql: string, values: readonly unknown[]): Promise<readonly number[]> =>
    (await query<{ id: number }>(sql, values)).rows.map(({ id }) => id);
  const page =
    <T>(sql: string) =>
    async (afterId: number, limit: number): Promise<readonly T[]> =>
      (await query<T>(sql, [afterId, limit])).rows;
  return {
    ...createAccountReads(query),
    ...createCustomFieldReads(query),
    ...createAuditReads(query),
    isThere: async () => (await query<{ there: boolean }>(IS_THERE)).rows[0]?.there === true,
    heldIn: async (contactIds) => {
      const { rows } = await query<{ contact_id: number; hold_id: number }>(HELD_IN, [contactIds]);
      return new Map(rows.map((row) => [row.contact_id, row.hold_id]));
    },
    heldLines: page<HeldLine>(HELD_LINES),
    parkedContacts: page<ParkedContact>(PARKED_CONTACTS),
    refusedRecords: page<RefusedRecord>(REFUSED_RECORDS),
    openConflicts: page<OpenConflict>(OPEN_CONFLICTS),
    look: async (steps) => await readOnly(pool, (run) => steps(createReads(run))),
    openContacts: (afterId, limit) => ids(OPEN_CONTACTS, [afterId, limit]),
    openEdits: async (contactIds) => {
      const { rows } = await query<{ contact_id: number; edits: readonly (readonly [string, ...LoggedEdit])[] }>(OPEN_EDITS, [contactIds]);
      const toOpen = ([txid, ...edit]: readonly [string, ...LoggedEdit]): OpenEdit => ({ ...toEdit(edit), txid });
      return new Map(rows.map(({ contact_id: id, edits }) => [id, edits.map(toOpen)]));
    },
    pairedIds: (afterId, limit) => ids(PAIRED_IDS, [afterId, limit]),
    crmUrl: async () => (await query<{ crm_url: string | null }>(CRM_URL)).rows[0]?.crm_url ?? null,
    leadersBudget: async () => (await query<{ budget: number | null }>(LEADERS_BUDGET)).rows[0]?.budget ?? null,
  };
};
