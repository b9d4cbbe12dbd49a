/**
 * Two daemons on one database, each behind a proxy of its own, so that one of them can be killed, frozen or cut off from Postgres while the
 * other goes on; the way to the CRM they share. Every write that leaves one of them is noted, with who sent it and when.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Child } from '../e2e/child.ts';
import type { BuiltProgram } from '../e2e/built-program.ts';
import { startDaemon } from './daemon.ts';
import { pidOfPort } from './pid-of-port.ts';
import { startSilentProxy, type Listener, type SilentProxy } from './silent-proxy.ts';

/** A write as it left a daemon, whatever the CRM made of it. */
export interface SentWrite {
  readonly pid: number;
  readonly atMs: number;
  readonly what: string;
  /** It may have left long before: it came out of a wire that was cut. */
  readonly late: boolean;
}

export interface Slot {
  readonly name: 'A' | 'B';
  readonly toPostgres: SilentProxy;
  /** The same for both. */
  readonly toCrm: SilentProxy;
  child: Child;
  startedMs: number;
  frozen: boolean;
}

export interface Crew {
  readonly slots: readonly [Slot, Slot];
  readonly writes: readonly SentWrite[];
  /** Of every daemon that ever ran. */
  readonly children: readonly Child[];
  /** Daemons that ended by themselves. */
  readonly deserted: readonly string[];
  /** Starts that met no Postgres, and were made again. */
  readonly restarts: { readonly count: number };
  slotOf(pid: number | null): Slot | null;
  /** kill -9, and a new one in its place. */
  replace(slot: Slot): Promise<void>;
  freeze(slot: Slot): void;
  thaw(slot: Slot): void;
  close(): Promise<void>;
}

export interface CrewOptions {
  readonly program: BuiltProgram;
  readonly databaseUrl: string;
  readonly crmUrl: string;
  readonly env: NodeJS.ProcessEnv;
}

/** What a daemon logs once it is up. */
const UP = '"msg":"started;';
const RESTART_AFTER_MS = 500;
const WRITE = /^(POST|PUT|DELETE) (\/api\/\S+)/;

const through = (url: string, { port }: SilentProxy): string => {
  const changed = new URL(url);
  changed.hostname = '127.0.0.1';
  changed.port = String(port);
  return changed.href;
};

export const startCrew = async ({ program, databaseUrl, crmUrl, env }: CrewOptions): Promise<Crew> => {
  const writes: SentWrite[] = [];
  const children: Child[] = [];
  const deserted: string[] = [];
  const killed = new Set<number>();
  const restarts = { count: 0 };
  const slots: Slot[] = [];
  // One address for both, since a mirror knows its CRM by it; so the kernel has to say whose a connection is.
  const listen = (fromPort: number): Listener => {
    const whose = pidOfPort(
      fromPort,
      toCrm.port,
      slots.map(({ child }) => child.pid),
    );
    return (chunk, late) => {
      const what = WRITE.exec(chunk.toString('latin1', 0, 200));
      if (what === null) return;
      const atMs = performance.now();
      void whose.then((pid) => (pid === null ? undefined : writes.push({ pid, atMs, what: what[0], late })));
    };
  };
  const toCrm: SilentProxy = await startSilentProxy(Number(new URL(crmUrl).port), listen);
  const supervise = (slot: Slot): void => {
    const { child } = slot;
    children.push(child);
    void child.ended.then(async ({ code, stderr }) => {
      if (killed.has(child.pid)) return;
      // Before it is up, a daemon may say that it cannot reach Postgres, and end: whoever runs it starts it again, as service managers do.
      if (code !== 1 || stderr.includes(UP))
        return void deserted.push(`daemon ${child.pid} ended by itself with ${code}: ${stderr.slice(-500)}`);
      restarts.count += 1;
      await pause(RESTART_AFTER_MS);
      if (slot.child === child && !killed.has(child.pid)) run(slot);
    });
  };
  const run = (slot: Pick<Slot, 'toPostgres' | 'toCrm'> & Partial<Slot>): Slot => {
    const urls = { DATABASE_URL: through(databaseUrl, slot.toPostgres), CRM_URL: through(crmUrl, slot.toCrm) };
    const child = startDaemon(program, { ...env, ...urls });
    const running = Object.assign(slot, { child, startedMs: performance.now(), frozen: false }) as Slot;
    supervise(running);
    return running;
  };
  const open = async (name: Slot['name']): Promise<Slot> => {
    const toPostgres = await startSilentProxy(Number(new URL(databaseUrl).port));
    return run({ name, toPostgres, toCrm });
  };
  slots.push(await open('A'), await open('B'));
  const end = async ({ child }: Slot): Promise<void> => {
    killed.add(child.pid);
    child.kill('SIGKILL');
    await child.ended;
  };
  return {
    slots: slots as [Slot, Slot],
    writes,
    children,
    deserted,
    restarts,
    slotOf: (pid) => slots.find(({ child }) => child.pid === pid) ?? null,
    replace: async (slot) => {
      const { child } = slot;
      await end(slot);
      // Two kills of one daemon make one new daemon.
      if (slot.child === child) run(slot);
    },
    freeze: (slot) => {
      slot.frozen = true;
      slot.child.kill('SIGSTOP');
    },
    thaw: (slot) => {
      slot.frozen = false;
      slot.child.kill('SIGCONT');
    },
    close: async () => {
      await Promise.all(slots.map(end));
      for (const { toPostgres } of slots) await toPostgres.close();
      await toCrm.close();
    },
  };
};
