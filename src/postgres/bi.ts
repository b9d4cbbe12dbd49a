/**
 * Keeps the typed columns of bi.contacts what the custom fields are. On a session of its own: looking through the values of a million contacts takes
 * longer than any statement of the sync may. The lock on the view is asked for by a function of the database that waits 100 ms for it at most.
 */
import { errorFields } from '../domain/error-fields.ts';
import type { Log } from '../ports/ambient.ts';
import type { BiKeeper } from '../ports/bi.ts';
import type { Pool } from './pool.ts';
import { openSession, type Session } from './session.ts';

export interface BiKeeperOptions {
  /** For the looks that find nothing to do. */
  readonly pool: Pool;
  readonly connectionString: string;
  readonly log: Log;
}

const STATEMENT_TIMEOUT_MS = 600_000;
const LOCK_TIMEOUT_MS = 5_000;

/** What waits no more, since the definitions are again what the view shows, has to be told so. */
const DUE = `
select sync.is_bi_due() or exists (select from sync.bi_refresh where waits_since is not null) as refresh,
  sync.is_count_due() as count, exists (select from sync.custom_field_changes where not told) as tell`;
const TELL = `select field, change, old_type, new_type, old_label, new_label from sync.tell_custom_field_changes() order by id`;

interface Due {
  readonly refresh: boolean;
  readonly count: boolean;
  readonly tell: boolean;
}
type Change = { readonly [column in 'field' | 'change' | 'old_type' | 'new_type' | 'old_label' | 'new_label']: string | null };

/** A hundred new columns a call, so that no reader waits long. */
const refresh = async (session: Session, signal: AbortSignal): Promise<boolean> => {
  for (;;) {
    const [row] = await session.query<{ outcome: 'same' | 'changed' | 'waits' }>('select sync.refresh_bi() as outcome');
    if (row?.outcome !== 'changed' || signal.aborted) return row?.outcome !== 'waits';
  }
};

/** A new field is no news to worry about; whatever else changes may be missed on somebody's dashboard. */
const tell = async (session: Session, log: Log): Promise<boolean> => {
  for (const change of await session.query<Change>(TELL)) {
    const message = 'a custom field of the CRM changed: bi.custom_fields tells its columns';
    if (change.change === 'added') log.info({ ...change }, message);
    else log.warn({ ...change }, message);
  }
  return true;
};

const count = async (session: Session): Promise<boolean> => {
  await session.query('select sync.count_custom_values()');
  return true;
};

const withSession = async <T>(
  { connectionString }: BiKeeperOptions,
  signal: AbortSignal,
  work: (session: Session) => Promise<T>,
): Promise<T> => {
  const limits = { statementTimeoutMs: STATEMENT_TIMEOUT_MS, lockTimeoutMs: LOCK_TIMEOUT_MS, answerTimeoutMs: 0 };
  const session = await openSession({ connectionString, applicationName: 'relate-mirror columns', ...limits }, signal);
  const giveUp = (): void => void session.close();
  signal.addEventListener('abort', giveUp);
  try {
    return await work(session);
  } finally {
    signal.removeEventListener('abort', giveUp);
    await session.close();
  }
};

export const createBiKeeper = (options: BiKeeperOptions): BiKeeper => ({
  keepOnce: async (signal) => {
    /** One that fails keeps no other from its turn. Answers what the work answers: whether it is done. */
    const attempt = async (work: () => Promise<boolean>): Promise<boolean> => {
      try {
        return signal.aborted || (await work());
      } catch (error) {
        if (signal.aborted) return true;
        options.log.error(errorFields(error), 'the columns of bi.contacts could not be brought up to date; it is tried again');
        return false;
      }
    };
    return await attempt(async () => {
      const { rows } = await options.pool.query<Due>(DUE);
      const [due] = rows;
      if (due === undefined || !(due.refresh || due.count || due.tell)) return true;
      return await withSession(options, signal, async (session) => {
        const told = !due.tell || (await attempt(() => tell(session, options.log)));
        const refreshed = await attempt(() => refresh(session, signal));
        if (!due.count) return told && refreshed;
        // What is counted as gone is null in its column.
        const counted = (await attempt(() => count(session))) && (await attempt(() => refresh(session, signal)));
        return told && refreshed && counted;
      });
    });
  },
});
