/**
 * Logging, to stderr: stdout belongs to what a command prints. A line holds ids, counts, codes and durations. The type of the fields says
 * so, and because types can be cast away, everything but plain values is taken out again here: an error of the HTTP client, say, carries
 * the request with its token and the contact in its body.
 */
import pino from 'pino';
import pretty from 'pino-pretty';
import { errorFields } from './domain/error-fields.ts';
import type { Log } from './ports/ambient.ts';

/** Where lines go: a file descriptor, or something that takes each line. */
export type LogDestination = number | { write(line: string): void };

export interface LoggerOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  readonly format: 'json' | 'pretty';
  /** Default: stderr. */
  readonly destination?: LogDestination;
  /** Colours of the pretty format; default false. */
  readonly color?: boolean;
}

export interface Logger extends Log {
  /** Returns when every line is written; lines are written at once, so this matters after a full pipe only. */
  flush(): void;
}

const STDERR = 2;

/** Plain values pass, an error becomes its whitelisted fields, everything else only says that it was there. */
const onlyPlain = (fields: Record<string, unknown>): Record<string, unknown> => {
  const plain: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value instanceof Error) Object.assign(plain, errorFields(value));
    else if (value === null || typeof value !== 'object') plain[name] = value;
    else plain[name] = '[not logged]';
  }
  return plain;
};

interface Sink {
  write(line: string): void;
  flushSync?(): void;
}

const streamOf = ({ format, destination = STDERR, color = false }: LoggerOptions): Sink => {
  // Written at once and in this thread: the last lines before a crash are the ones that matter.
  const sink: Sink = typeof destination === 'number' ? pino.destination({ dest: destination, sync: true }) : destination;
  if (format === 'json') return sink;
  const prettify = pretty.prettyFactory({ colorize: color, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname', singleLine: true });
  return { write: (line) => sink.write(prettify(line)), flushSync: () => sink.flushSync?.() };
};

export const createLogger = (options: LoggerOptions): Logger => {
  const stream = streamOf(options);
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: onlyPlain },
      // Errors are dealt with above; pino's own serialiser would print all of their properties.
      serializers: {},
    },
    stream,
  );
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: (fields, message) => logger.warn(fields, message),
    error: (fields, message) => logger.error(fields, message),
    flush: () => stream.flushSync?.(),
  };
};
