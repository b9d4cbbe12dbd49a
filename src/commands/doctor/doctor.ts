/**
 * `doctor`: can it work here, and what is in the way? One line a check, each with its remedy. Reads only, but for `--restored`; goes on where the
 * database or the CRM is away.
 */
import { createBudgetedCrm } from '../../app.ts';
import { probeCapabilities } from '../../crm/probe.ts';
import { inspectTls } from '../../crm/tls.ts';
import type { Clock, Log } from '../../ports/ambient.ts';
import { describeAddress } from '../../postgres/connection.ts';
import { notifyRoundTrip } from '../../postgres/inspect/listen.ts';
import { inspectMirror, markRestored, missingRights, unseenIds } from '../../postgres/inspect/mirror.ts';
import { inspectServer, isPooled, openInspection, type ServerFacts } from '../../postgres/inspect/server.ts';
import { createAccountReads } from '../../postgres/mirror-account.ts';
import { createCustomFieldReads } from '../../postgres/mirror-custom-fields.ts';
import { queryOn } from '../../postgres/mirror-session.ts';
import { inspectMigrations, migrationLockHolder, whoMayMigrate } from '../../postgres/migrate.ts';
import { createOperator } from '../../postgres/operator.ts';
import { createPool } from '../../postgres/pool.ts';
import type { Session } from '../../postgres/session.ts';
import { explain } from '../explain.ts';
import { EXIT, type ExitCode, type Io } from '../io.ts';
import { checkCrm, type FromMirror } from './crm-checks.ts';
import { problem, warning, type Line } from './line.ts';
import { checkMigrationLock, checkMigrations, checkMirror, checkRights } from './mirror-checks.ts';
import { createPrinter } from './printer.ts';
import { checkListening, checkServer, OLD_SECONDS } from './server-checks.ts';
import { checkSettings, type Settings } from './settings-checks.ts';

export interface DoctorDeps extends Settings {
  readonly io: Io;
  /** Where the mirror's database is; a string says why nobody can tell. */
  readonly database: { readonly databaseUrl: string; readonly directUrl: string } | string;
  readonly clock: Clock;
  readonly log: Log;
}

export interface DoctorOptions {
  readonly json: boolean;
  readonly restored: boolean;
}

const NOTIFY_MS_MAX = 3_000;
/** So many ids are asked for; a few more, since some may have been created meanwhile. */
const UNSEEN_IDS = 5;

export const runDoctor = async (deps: DoctorDeps, { json, restored }: DoctorOptions): Promise<ExitCode> => {
  const { io } = deps;
  const printer = createPrinter(io, { json });
  if (restored) {
    printer.show([await restore(deps)]);
    return EXIT.done;
  }
  printer.show(checkSettings(deps));
  const closing: (() => Promise<void>)[] = [];
  try {
    const mirror = await checkDatabase(deps, printer.show, closing);
    if (!io.signal.aborted) printer.show(await checkAccount(deps, mirror));
  } finally {
    for (const close of closing.toReversed()) await close();
  }
  if (io.signal.aborted) return EXIT.done;
  printer.sum();
  return printer.hasProblem() ? EXIT.failed : EXIT.done;
};

type Show = (lines: readonly Line[]) => void;

/** Shows what it finds, and answers what the checks of the CRM need of it; null where the database, or the mirror in it, is away. */
const checkDatabase = async (deps: DoctorDeps, show: Show, closing: (() => Promise<void>)[]): Promise<FromMirror | null> => {
  const { database, clock, config, io } = deps;
  if (typeof database === 'string') {
    show([warning('database', database, 'Set DATABASE_URL, or start: `relate-mirror start` makes the embedded one.')]);
    return null;
  }
  const { databaseUrl, directUrl } = database;
  try {
    const session = await openInspection(databaseUrl, io.signal);
    closing.push(() => session.close());
    const facts = await inspectServer(session, () => clock.now().getTime(), OLD_SECONDS);
    show(checkServer(facts, describeAddress(databaseUrl), config.captureNotify));
    show(await checkDirect(deps, directUrl, session, facts));
    return await checkSchema(deps, databaseUrl, session, facts, show, closing);
  } catch (error) {
    show([
      problem(
        'database',
        `${describeAddress(databaseUrl).host}: ${explain(error)}`,
        'Mend it, and ask again: nothing more can be said of it.',
      ),
    ]);
    return null;
  }
};

const checkDirect = async (
  { config, clock, io }: DoctorDeps,
  directUrl: string,
  sender: Session,
  facts: ServerFacts,
): Promise<readonly Line[]> => {
  try {
    const listener = await openInspection(directUrl, io.signal);
    try {
      const roundTripMs = await notifyRoundTrip(listener, sender, { nowMs: () => clock.monotonicMs(), timeoutMs: NOTIFY_MS_MAX });
      const directPooled = await isPooled(listener);
      return checkListening({ roundTripMs, pooled: facts.pooled, directPooled, hasOwnUrl: config.databaseListenUrl !== null });
    } finally {
      await listener.close();
    }
  } catch (error) {
    return [problem('listen', `DATABASE_LISTEN_URL: ${explain(error)}`, 'Correct it: without it no daemon can lead.')];
  }
};

const checkSchema = async (
  { config, clock, log }: DoctorDeps,
  databaseUrl: string,
  session: Session,
  server: ServerFacts,
  show: Show,
  closing: (() => Promise<void>)[],
): Promise<FromMirror | null> => {
  try {
    const migrations = await inspectMigrations(session);
    show([checkMigrations(migrations, await whoMayMigrate(session)), checkMigrationLock(await migrationLockHolder(session))]);
    if (migrations.pending === migrations.total) return null;
    show([checkRights(await missingRights(session))]);
    const pool = createPool({ connectionString: databaseUrl, max: 2, applicationName: 'relate-mirror doctor', log });
    closing.push(() => pool.end());
    const query = queryOn(pool);
    const reads = { ...createAccountReads(query), ...createCustomFieldReads(query) };
    const [facts, status, customFields] = [await inspectMirror(session), await createOperator(pool).status(), await reads.customFields()];
    show(checkMirror(config, { facts, status, customFields, now: clock.now() }));
    return {
      capabilities: await reads.capabilities(),
      paired: facts.paired,
      hidden: facts.hidden,
      unseenIds: (maxId) => unseenIds(session, maxId, UNSEEN_IDS),
      clockSkewMs: server.clock_skew_ms,
    };
  } catch (error) {
    show([
      problem(
        'migrations',
        `the mirror cannot be looked at: ${explain(error)}`,
        'Mend that first: `relate-mirror migrate`, `relate-mirror grants`.',
      ),
    ]);
    return null;
  }
};

const checkAccount = async ({ config, clock, log, io }: DoctorDeps, mirror: FromMirror | null): Promise<readonly Line[]> => {
  const { crm, pacing } = createBudgetedCrm({ config, clock, log });
  const tls = () => inspectTls(config.crmUrl, config.crmTimeoutMs);
  try {
    return await checkCrm({ crm, pacing, probe: probeCapabilities, tls, signal: io.signal, now: () => clock.now() }, mirror);
  } finally {
    crm.close();
  }
};

/** The one thing that it changes, on request: nothing is pushed until a person has approved. */
const restore = async ({ database, io }: DoctorDeps): Promise<Line> => {
  if (typeof database === 'string') return problem('identity', database, 'Set DATABASE_URL.');
  const session = await openInspection(database.databaseUrl, io.signal);
  try {
    const hold = await markRestored(session);
    return warning(
      'identity',
      `marked as restored: nothing is pushed until hold ${hold} is approved`,
      `relate-mirror resync, where no daemon does it; relate-mirror holds; relate-mirror holds approve ${hold}`,
    );
  } finally {
    await session.close();
  }
};
