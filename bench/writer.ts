/** A user's program in a process of its own: edits the mirror with plain SQL. */
import { type Child, startChild } from './child.ts';

/** Nanoseconds of the machine's monotonic clock. */
export interface CommitTimes {
  /** The COMMIT was handed to the connection. */
  readonly sentAt: bigint;
  /** The server said that it is durable. */
  readonly doneAt: bigint;
}

export type WriterCalls = {
  readonly open: { readonly input: { readonly databaseUrl: string }; readonly output: null };
  /** One statement in a transaction of its own. */
  readonly commit: { readonly input: { readonly sql: string; readonly values: readonly unknown[] }; readonly output: CommitTimes };
};

export const startWriter = async (databaseUrl: string): Promise<Child<WriterCalls>> => {
  const child = startChild<WriterCalls>('./writer-child.ts');
  await child.call('open', { databaseUrl });
  return child;
};
