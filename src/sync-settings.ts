/** What the configuration, and nobody but us, says of the sync. */
import type { Config } from './config.ts';
import type { SyncSettings } from './sync/deps.ts';

/** Contacts pushed side by side: each has a connection of the pool. */
const PUSH_CONCURRENCY = 6;
/** A commit may come this late behind the `updated_at` that it carries. */
const OVERLAP_MS = 120_000;
/** Shorter loses fewer edits made in the CRM just before our write, and costs one list call a push at most. */
const FRESH_MS = 1_000;

export const toSyncSettings = (config: Config): SyncSettings => ({
  conflictPolicy: config.conflictPolicy,
  writeMode: config.writeMode,
  backoff: { minMs: config.retryMinMs, maxMs: config.retryMaxMs },
  brake: { rows: config.brakeRows, share: config.brakeShare, max: config.brakeMax },
  createRecheckMs: config.createRecheckMs,
  createGraceMs: config.crmTimeoutMs + config.createRecheckMs,
  externalIdField: config.crmExternalIdField,
  changeLogDays: config.changeLogDays,
  overlapMs: OVERLAP_MS,
  freshMs: FRESH_MS,
  pushConcurrency: PUSH_CONCURRENCY,
});
