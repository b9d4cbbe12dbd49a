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
  const scheduled = createTask(cron, task, { name, timezone: timeZone, noOverlap: true, logger: toCronLogger(log) });
  return {
    start: async () => {
      await scheduled.start();
    },
    stop: async () => {
      await scheduled.stop();
    },
  };
};

/** node-cron speaks by itself, to the console; its words go where ours go. */
const toCronLogger = (log: Log) => ({
  info: (message: string) => log.debug({}, message),
  warn: (message: string) => log.warn({}, message),
  error: (message: string | Error) => log.error({}, message instanceof Error ? message.name : message),
  debug: () => {},
});
