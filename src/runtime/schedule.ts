/** Runs tasks at the times of a cron expression (node-cron); a task that is still running is not started again. */
import { createTask } from 'node-cron';
import type { Log } from '../ports/ambient.ts';
import type { Service } from '../ports/service.ts';

export interface ScheduleOptions {
  readonly name: string;
  /** Five fields, or six with seconds first. */
  readonly cron: string;
  readonly timeZone: string;
  readonly task: () => void;
  readonly log: Log;
}

export const createSchedule = ({ name, cron, timeZone, task, log }: ScheduleOptions): Service => {
  const scheduled = createTask(cron, task, { name, timezone: zoneFor(cron, timeZone), noOverlap: true, logger: toCronLogger(log) });
  return {
    start: async () => {
      await scheduled.start();
    },
    stop: async () => {
      await scheduled.stop();
    },
  };
};

/** By the minute the zone means nothing; and in it node-cron leaves out the first of the two hours that are called the same in autumn. */
const zoneFor = (cron: string, timeZone: string): string => {
  const [hour, minute] = cron.trim().split(/\s+/).toReversed().slice(3);
  return hour === '*' && minute?.startsWith('*') === true ? 'UTC' : timeZone;
};

/** node-cron speaks by itself, to the console; its words go where ours go. */
const toCronLogger = (log: Log) => ({
  info: (message: string) => log.debug({}, message),
  warn: (message: string) => log.warn({}, message),
  error: (message: string | Error) => log.error({}, message instanceof Error ? message.name : message),
  debug: () => {},
});
