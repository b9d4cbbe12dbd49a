/** The PostgreSQL server: version, safety, clocks, connections, and whether notifications get through. */
import type { ServerFacts } from '../../postgres/inspect/server.ts';
import { bytes, number, ok, problem, seconds, warning, type Line } from './line.ts';

/** From when on a transaction counts as old. */
export const OLD_SECONDS = 300;
/** Nothing is decided by this process' clock; farther off, its log cannot be read beside the database's times. */
const CLOCK_SKEW_MS_MAX = 5_000;
/** The daemon's pool, its lease and its LISTEN. */
const CONNECTIONS_NEEDED = 14;
const SLOT_BYTES_MAX = 1024 ** 3;
const NOTIFY_QUEUE_MAX = 0.5;
const VERSION_MIN = 150_000;

export interface Address {
  readonly host: string;
  readonly isLocal: boolean;
}

export const checkServer = (facts: ServerFacts, address: Address, notifies: boolean): readonly Line[] => [
  ok('database', `${facts.database} at ${address.host} as ${facts.user}${facts.is_superuser ? ', a superuser' : ''}`),
  checkTls(facts, address),
  checkVersion(facts),
  checkSafety(facts),
  checkClock(facts),
  checkConnections(facts),
  checkTransactions(facts),
  checkSlots(facts),
  checkTwoPhase(facts, notifies),
];

const checkTls = ({ tls: { protocol, verified } }: ServerFacts, { isLocal }: Address): Line => {
  if (protocol === null && isLocal) return ok('database_tls', 'none, and none needed: the server is on this machine');
  if (protocol === null)
    return warning(
      'database_tls',
      'none: password and data travel unencrypted',
      'Turn TLS on in the server, and take sslmode=disable out of DATABASE_URL.',
    );
  if (verified) return ok('database_tls', `${protocol}, the certificate is verified`);
  return warning(
    'database_tls',
    `${protocol}, but the certificate is not verified: anybody in between could read along`,
    'Say sslmode=verify-full in DATABASE_URL, with sslrootcert=FILE for an authority of your own.',
  );
};

const checkVersion = ({ version, version_text: text, encoding, in_recovery: inRecovery }: ServerFacts): Line => {
  const detail = `PostgreSQL ${text}, ${encoding}`;
  if (version < VERSION_MIN) return problem('server', detail, 'PostgreSQL 15 or newer is needed: upgrade it.');
  if (encoding !== 'UTF8')
    return problem('server', detail, 'Create a database in UTF8: create database … encoding UTF8 template template0.');
  if (inRecovery) return problem('server', `${detail}, in recovery: read only`, 'Point DATABASE_URL at the primary, not at a standby.');
  return ok('server', detail);
};

const checkSafety = (facts: ServerFacts): Line => {
  const off = [...(facts.fsync ? [] : ['fsync']), ...(facts.full_page_writes ? [] : ['full_page_writes'])];
  if (off.length > 0)
    return problem('server_safety', `${off.join(' and ')} off: a crash may lose edits or the database`, `Turn ${off.join(' and ')} on.`);
  if (facts.synchronous_commit === 'off')
    return warning(
      'server_safety',
      'synchronous_commit off: a crash may lose the last commits',
      "Turn it on, at least for the daemon's role: alter role … set synchronous_commit = on.",
    );
  if (!facts.autovacuum) return warning('server_safety', 'autovacuum off: tables will grow', 'Turn autovacuum on.');
  return ok('server_safety', 'fsync, full_page_writes, synchronous_commit and autovacuum are on');
};

const checkClock = ({ clock_skew_ms: skew, clock_error_ms: error }: ServerFacts): Line => {
  const detail = `${seconds(Math.abs(skew))} ${skew < 0 ? 'behind' : 'ahead of'} this process, give or take ${error} ms`;
  if (Math.abs(skew) - error <= CLOCK_SKEW_MS_MAX) return ok('database_clock', detail);
  return warning(
    'database_clock',
    detail,
    'Let NTP set both clocks. Nothing is decided by it, but logs and times in the database will not agree.',
  );
};

const checkConnections = ({ max_connections: max, connections: used }: ServerFacts): Line => {
  const free = max - used;
  const detail = `${number(used)} of ${number(max)} in use; the daemon needs ${CONNECTIONS_NEEDED}`;
  if (free >= CONNECTIONS_NEEDED) return ok('connections', detail);
  return warning('connections', detail, 'Raise max_connections, or close some.');
};

const checkTransactions = ({ old_transactions: old, old_prepared: prepared, notify_queue: queue }: ServerFacts): Line => {
  const [oldest] = old;
  if (queue > NOTIFY_QUEUE_MAX)
    return problem(
      'transactions',
      `the notification queue is ${Math.round(queue * 100)} % full: at 100 % every edit fails`,
      'End the oldest transaction that listens: select pid, xact_start from pg_stat_activity order by xact_start.',
    );
  if (prepared > 0)
    return warning(
      'transactions',
      `${number(prepared)} prepared for more than ${OLD_SECONDS / 60} minutes: rows stay locked, nothing can be cleaned up`,
      'Commit or roll back what stands in pg_prepared_xacts.',
    );
  if (oldest === undefined) return ok('transactions', `none older than ${OLD_SECONDS / 60} minutes`);
  return warning(
    'transactions',
    `${number(old.length)} older than ${OLD_SECONDS / 60} minutes, the oldest (pid ${oldest.pid}, ${oldest.state ?? 'state not visible'}) ${number(oldest.seconds / 60)} minutes: tables grow meanwhile, and rows may stay locked`,
    `See what it does; end it with: select pg_terminate_backend(${oldest.pid});`,
  );
};

const checkSlots = ({ slots }: ServerFacts): Line => {
  const stuck = slots.find(({ active, retained_bytes: retained }) => !active && (retained ?? 0) > SLOT_BYTES_MAX);
  if (stuck !== undefined)
    return warning(
      'replication_slots',
      `${stuck.name} is used by nobody and keeps ${bytes(stuck.retained_bytes ?? 0)} of WAL: the disk will fill up`,
      `Connect its subscriber again, or: select pg_drop_replication_slot('${stuck.name}');`,
    );
  const idle = slots.filter(({ active, holds_rows: holds }) => !active && holds);
  if (idle.length > 0)
    return warning(
      'replication_slots',
      `${idle.map(({ name }) => name).join(', ')}: used by nobody, and keeps old row versions`,
      'Connect the subscriber again, or drop the slot.',
    );
  return ok('replication_slots', slots.length === 0 ? 'none' : `${number(slots.length)}, none keeps too much`);
};

const checkTwoPhase = ({ max_prepared_transactions: max }: ServerFacts, notifies: boolean): Line => {
  if (max === 0) return ok('two_phase', 'off in the server');
  if (!notifies) return ok('two_phase', 'possible, and CAPTURE_NOTIFY=off: the poll finds edits');
  return warning(
    'two_phase',
    `max_prepared_transactions is ${number(max)}: PREPARE TRANSACTION fails after an edit of the mirror`,
    'Only if clients use two-phase commit: CAPTURE_NOTIFY=off. Edits are then found by the poll (PUSH_POLL_MS).',
  );
};

export interface Listening {
  /** Null: not heard. */
  readonly roundTripMs: number | null;
  /** DATABASE_URL and DATABASE_LISTEN_URL: something stands between us and the server. */
  readonly pooled: boolean;
  readonly directPooled: boolean;
  readonly hasOwnUrl: boolean;
}

export const checkListening = ({ roundTripMs, pooled, directPooled, hasOwnUrl }: Listening): readonly Line[] => {
  const url = hasOwnUrl ? 'DATABASE_LISTEN_URL' : 'DATABASE_URL';
  const remedy = 'Set DATABASE_LISTEN_URL to a direct connection: notifications and the lease need one session of their own.';
  const heard = roundTripMs === null ? null : `heard after ${roundTripMs.toFixed(1)} ms through ${url}`;
  return [
    checkPooler({ pooled, directPooled, url, remedy, isHeard: heard !== null }),
    heard === null
      ? problem('listen', `a notification was not heard through ${url}: edits wait for the poll`, remedy)
      : ok('listen', heard),
  ];
};

interface Pooler {
  readonly pooled: boolean;
  readonly directPooled: boolean;
  readonly url: string;
  readonly remedy: string;
  readonly isHeard: boolean;
}

const checkPooler = ({ pooled, directPooled, url, remedy, isHeard }: Pooler): Line => {
  if (directPooled && isHeard) return warning('pooler', `${url} leads through a pooler, one that keeps sessions as it seems`, remedy);
  if (directPooled) return problem('pooler', `${url} leads through a pooler`, remedy);
  return ok('pooler', pooled ? 'DATABASE_URL leads through one, DATABASE_LISTEN_URL does not' : 'none in between');
};
