/**
 * One transaction on one connection, as the steps see it: typed results, and the announcement that what follows is our own writing.
 *
 * Parsers are set per query, so that nothing depends on (or changes) the process-wide ones of `pg`. No statement is named: a prepared
 * statement would not survive a transaction pooler, and a generic plan for `= any($1)` is a guess about the array.
 */
import pg from 'pg';

export type Row = Record<string, unknown>;
export interface Rows<T> {
  readonly rows: readonly T[];
  /** Rows written, for a statement that writes. */
  readonly count: number;
}
export type Query = <T = Row>(sql: string, values?: readonly unknown[]) => Promise<Rows<T>>;

export interface Session {
  readonly query: Query;
  /** The leader's epoch that this transaction was started under. */
  readonly epoch: number;
  /**
   * To be awaited before every write to schema `crm`: makes the capture triggers silent for this transaction's own statements, and tells the
   * history where they come from. `merge`: what is written next is neither side's alone; left out: as this transaction has it.
   */
  readonly ownWrite: (origin?: 'merge') => Promise<void>;
  /** Runs steps behind a savepoint, which is rolled back and the error thrown on where they fail. */
  readonly nested: (steps: () => Promise<void>) => Promise<void>;
}

const INT8 = 20;
const INT8_ARRAY = 1016;

const toSafeInteger = (text: string): number => {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`An id of the database is larger than 2^53: ${text}`);
  return value;
};
/** `{1,2,3}`: our arrays of ids are flat and hold no null. */
const parseIds = (text: string): readonly number[] => (text === '{}' ? [] : text.slice(1, -1).split(',').map(toSafeInteger));

const parserOf = (oid: number, format?: 'text' | 'binary'): ((text: string) => unknown) => {
  if (oid === INT8) return toSafeInteger;
  if (oid === INT8_ARRAY) return parseIds;
  return pg.types.getTypeParser(oid, format) as (text: string) => unknown;
};
const types: pg.CustomTypesConfig = { getTypeParser: parserOf as pg.CustomTypesConfig['getTypeParser'] };

/** Any `pg` client or pool as a Query. What a row is, is the word of whoever wrote the statement: hence `never`, which fits any. */
export const queryOn =
  (client: Pick<pg.Pool, 'query'>): Query =>
  async (sql: string, values: readonly unknown[] = []): Promise<Rows<never>> => {
    const result = await client.query({ text: sql, values: [...values], types });
    return { rows: result.rows as never[], count: result.rowCount ?? 0 };
  };

/**
 * The transaction's own id goes into a local setting, and the triggers compare the two: what a pooled session left behind silences nothing.
 * Only at the first write, because asking for the id makes the transaction a writing one.
 */
const ANNOUNCE = `select set_config('relate_mirror.writer', pg_current_xact_id()::text, true), set_config('relate_mirror.origin', $1, true)`;

/** Where a version in `bi.contact_history` comes from, of those that the daemon writes. */
export type Origin = 'crm' | 'merge' | 'resync';

export const createSession = (query: Query, epoch: number, usual: Origin = 'crm'): Session => {
  /** As announced; null: not yet. */
  let announced: Origin | null = null;
  let depth = 0;
  return {
    query,
    epoch,
    ownWrite: async (origin: Origin = usual) => {
      if (announced === origin) return;
      await query(ANNOUNCE, [origin]);
      announced = origin;
    },
    nested: async (steps) => {
      const name = `steps_${depth}`;
      const before = announced;
      await query(`savepoint ${name}`);
      depth += 1;
      try {
        await steps();
        await query(`release savepoint ${name}`);
      } catch (error) {
        // A setting made behind the savepoint goes with it, and the next write has to announce itself again.
        await query(`rollback to savepoint ${name}`);
        await query(`release savepoint ${name}`);
        announced = before;
        throw error;
      } finally {
        depth -= 1;
      }
    },
  };
};
