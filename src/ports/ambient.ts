/** What the surroundings give: time, chance and a place to speak. Injected, so that a test or a simulation can own them. */

export interface Clock {
  /** Wall time of this process. Never compared with the CRM's or the database's clock. */
  now(): Date;
  /** Milliseconds that never jump back; only differences mean anything. */
  monotonicMs(): number;
  /** Resolves after the time, or at once when the signal fires. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** A number in [0, 1). */
export type Random = () => number;

/** Structured logging. Fields hold ids, counts, codes and durations: never contact values, never tokens. */
export interface Log {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
}
export type LogFields = { readonly [key: string]: string | number | boolean | null | undefined };
