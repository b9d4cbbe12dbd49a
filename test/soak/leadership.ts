/** Who leads, as the database says it: every change of the epoch, and how long it took. Looks often and outlives restarts of Postgres. */
import pg from 'pg';

export interface Reign {
  readonly epoch: number;
  readonly pid: number;
  /** On this process's monotonic clock: it began between these two looks. */
  readonly notBeforeMs: number;
  readonly seenMs: number;
}

export interface Leadership {
  readonly reigns: readonly Reign[];
  /** Whose lease is valid as of the last look. */
  leader(): number | null;
  stop(): Promise<void>;
}

const LOOK_EVERY_MS = 50;
const ANSWER_MS_MAX = 1_000;
const LOOK = `select epoch::int, holder, coalesce(expires_at > clock_timestamp(), false) as valid from sync.leader`;

interface Row {
  readonly epoch: number;
  readonly holder: string | null;
  readonly valid: boolean;
}

const pidOf = (holder: string): number => Number(holder.split(' ').at(-1));

export const watchLeadership = (url: string): Leadership => {
  const reigns: Reign[] = [];
  const stopping = new AbortController();
  let leader: number | null = null;
  let lookedMs = performance.now();

  const see = ({ epoch, holder, valid }: Row, beganMs: number): void => {
    leader = valid && holder !== null ? pidOf(holder) : null;
    const last = reigns.at(-1)?.epoch ?? 0;
    if (holder !== null && epoch > last) reigns.push({ epoch, pid: pidOf(holder), notBeforeMs: lookedMs, seenMs: performance.now() });
    lookedMs = beganMs;
  };
  const pause = async (): Promise<void> => await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  const lookOn = async (): Promise<void> => {
    const client = new pg.Client({ connectionString: url, query_timeout: ANSWER_MS_MAX, connectionTimeoutMillis: ANSWER_MS_MAX });
    client.on('error', () => undefined);
    try {
      await client.connect();
      while (!stopping.signal.aborted) {
        const beganMs = performance.now();
        const [row] = (await client.query<Row>(LOOK)).rows;
        if (row !== undefined) see(row, beganMs);
        await pause();
      }
    } catch {
      leader = null;
      await pause();
    } finally {
      await client.end().catch(() => undefined);
    }
  };
  const done = (async () => {
    while (!stopping.signal.aborted) await lookOn();
  })();
  return {
    reigns,
    leader: () => leader,
    stop: async () => {
      stopping.abort();
      await done;
    },
  };
};
