/**
 * Keeps `sync.phone_forms` in step with the contacts: each phone number in international form, read by the daemon because SQL cannot.
 *
 * Behind the sync, never in its way: on a session of its own, in short statements, a few contacts at a time. A row that a user holds is left and tried
 * again at the next look. Where nothing changed, a look is one index look-up and writes nothing. What it learns of is a hint (ids that the daemon
 * wrote, the log of edits); the truth is the pass over all contacts at the beginning of a term and once an hour.
 */
import { errorFields } from '../domain/error-fields.ts';
import type { Log } from '../ports/ambient.ts';
import type { PhoneFormsKeeper, PhoneReader } from '../ports/phone-forms.ts';
import { openSession, type Session } from './session.ts';
import { COUNTRY_NAMES, EDITED_SINCE, LACKING_AFTER, LACKING_OF, LOG_TAIL, READ_BY, SAVE_READ_BY, WRITE_FORMS } from './sql/phone-forms.ts';

export interface PhoneFormsOptions {
  /** A direct connection or a pooler's: no state outlives a statement. */
  readonly connectionString: string;
  /** Loaded when there is something to read: its rules are large. */
  readonly loadReader: () => Promise<PhoneReader>;
  readonly log: Log;
}

/** Contacts that a pass looks at in one statement … */
const PASS_BATCH = 2000;
/** … whose numbers are read before the event loop is given back, and which are written at once. */
const READ_BATCH = 200;
/** Ids that are remembered; more of them are left to a pass. */
const TOUCHED_MAX = 20_000;
/** Changes of the log that are looked at again: a transaction that was open at the last look may have committed an older one. */
const LOG_OVERLAP = 1000;
const LIMITS = { statementTimeoutMs: 10_000, lockTimeoutMs: 100, answerTimeoutMs: 15_000 };

interface Lacking {
  readonly id: number;
  readonly countryId: number | null;
  readonly numbers: readonly string[];
}
interface Tail {
  readonly newest: number;
  readonly changes: number;
}
interface Edited {
  readonly last_id: number | null;
  readonly seen: number;
  readonly contacts: readonly number[];
}
interface Batch {
  readonly last_id: number | null;
  readonly seen: number;
  readonly contacts: readonly Lacking[];
}

const firstOf = <T>([row]: readonly T[], sql: string): T => {
  if (row === undefined) throw new Error(`No row: ${sql}`);
  return row;
};

const regionsOf = async (session: Session, reader: PhoneReader): Promise<ReadonlyMap<number, string>> => {
  const rows = await session.query<{ id: number; name: string }>(COUNTRY_NAMES);
  return new Map(
    rows.flatMap(({ id, name }) => {
      const region = reader.regionOf(name);
      return region === null ? [] : [[id, region] as const];
    }),
  );
};

const asJson = (regions: ReadonlyMap<number, string>): string => JSON.stringify(Object.fromEntries(regions));

/** @returns the contacts that somebody holds, or that are gone */
const write = async (session: Session, reader: PhoneReader, regions: ReadonlyMap<number, string>, contacts: readonly Lacking[]) => {
  const left: number[] = [];
  for (let at = 0; at < contacts.length; at += READ_BATCH) {
    const batch = contacts.slice(at, at + READ_BATCH);
    const forms = batch.flatMap(({ id, countryId, numbers }) => {
      const region = regions.get(countryId ?? Number.NaN) ?? null;
      return numbers.map((number) => ({ contact_id: id, number, country_id: countryId, region, e164: reader.e164(number, region) }));
    });
    const ids = batch.map(({ id }) => id);
    const { free } = firstOf(await session.query<{ free: number[] }>(WRITE_FORMS, [ids, JSON.stringify(forms)]), WRITE_FORMS);
    const written = new Set(free);
    left.push(...ids.filter((id) => !written.has(id)));
  }
  return left;
};

/** What is known to be due; in memory only, since the next term begins with a pass. */
interface Notes {
  readonly waiting: Set<number>;
  isPassDue: boolean;
  tail: Tail | null;
}

const note = (notes: Notes, contactIds: Iterable<number>): void => {
  for (const id of contactIds) notes.waiting.add(id);
  if (notes.waiting.size <= TOUCHED_MAX) return;
  notes.waiting.clear();
  notes.isPassDue = true;
};

const lookAtLog = async (session: Session, notes: Notes): Promise<void> => {
  const { tail } = notes;
  const now = firstOf(await session.query<Tail>(LOG_TAIL, [LOG_OVERLAP]), LOG_TAIL);
  // The pass at the beginning sees what was edited before.
  if (tail !== null && (now.newest !== tail.newest || now.changes !== tail.changes)) {
    let after = tail.newest - LOG_OVERLAP;
    for (let seen = LOG_OVERLAP; seen === LOG_OVERLAP;) {
      const edited = firstOf(await session.query<Edited>(EDITED_SINCE, [after, LOG_OVERLAP]), EDITED_SINCE);
      note(notes, edited.contacts);
      seen = edited.seen;
      after = edited.last_id ?? after;
    }
  }
  notes.tail = now;
};

const readWaiting = async (session: Session, reader: PhoneReader, notes: Notes): Promise<void> => {
  const ids = [...notes.waiting];
  if (ids.length === 0) return;
  const regions = await regionsOf(session, reader);
  for (let at = 0; at < ids.length; at += PASS_BATCH) {
    const some = ids.slice(at, at + PASS_BATCH);
    // What is noted from here on waits for the next time.
    for (const id of some) notes.waiting.delete(id);
    try {
      const { contacts } = firstOf(await session.query<Batch>(LACKING_OF, [asJson(regions), false, some]), LACKING_OF);
      note(notes, await write(session, reader, regions, contacts));
    } catch (error) {
      note(notes, some);
      throw error;
    }
  }
};

const passAll = async (session: Session, reader: PhoneReader, notes: Notes, signal: AbortSignal): Promise<void> => {
  notes.isPassDue = false;
  const regions = await regionsOf(session, reader);
  const { version } = firstOf(await session.query<{ version: string | null }>(READ_BY), READ_BY);
  const isAnew = version !== reader.version;
  let left = 0;
  for (let after: number | null = 0; after !== null && !signal.aborted;) {
    const batch: Batch = firstOf(await session.query<Batch>(LACKING_AFTER, [asJson(regions), isAnew, after, PASS_BATCH]), LACKING_AFTER);
    const locked = await write(session, reader, regions, batch.contacts);
    left += locked.length;
    note(notes, locked);
    after = batch.seen < PASS_BATCH ? null : batch.last_id;
  }
  if (isAnew && left === 0 && !signal.aborted) await session.query(SAVE_READ_BY, [reader.version]);
};

export const createPhoneForms = ({ connectionString, loadReader, log }: PhoneFormsOptions): PhoneFormsKeeper => {
  const notes: Notes = { waiting: new Set(), isPassDue: false, tail: null };
  let session: Session | null = null;
  let reader: PhoneReader | null = null;
  const close = async (): Promise<void> => {
    const open = session;
    session = null;
    await open?.close();
  };
  return {
    close,
    touched: (contactIds) => note(notes, contactIds),
    keepOnce: async (signal, whole) => {
      if (signal.aborted) return true;
      notes.isPassDue ||= whole;
      const giveUp = (): void => void close();
      signal.addEventListener('abort', giveUp);
      try {
        session ??= await openSession({ connectionString, applicationName: 'relate-mirror phones', ...LIMITS }, signal);
        await lookAtLog(session, notes);
        if (notes.waiting.size === 0 && !notes.isPassDue) return true;
        reader ??= await loadReader();
        await readWaiting(session, reader, notes);
        if (notes.isPassDue) await passAll(session, reader, notes, signal);
        return true;
      } catch (error) {
        await close();
        if (signal.aborted) return true;
        log.warn(errorFields(error), 'phone numbers were not read into their international form; it is tried again');
        notes.isPassDue = true;
        return false;
      } finally {
        signal.removeEventListener('abort', giveUp);
      }
    },
  };
};
