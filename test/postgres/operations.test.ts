import type pg from 'pg';
import { describe, expect, it } from 'vitest';
import { OperationRefused } from '../../src/ports/operations.ts';
import { createOperations } from '../../src/postgres/operations.ts';

const failing = (error: Error): pg.Pool => {
  const query = async (): Promise<never> => {
    throw error;
  };
  return { query } as unknown as pg.Pool;
};
const kindOf = async (work: Promise<unknown>): Promise<string> =>
  await work.then(
    () => 'done',
    (error: unknown) => (error instanceof OperationRefused ? error.kind : 'another error'),
  );

describe('a database that does not answer', () => {
  const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
  const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
  const silent = new Error('Query read timeout');

  it.each([
    ['was never reached', refused, 'unavailable'],
    ['broke off', reset, 'unknown'],
    ['stayed silent', silent, 'unknown'],
  ])('leaves a decision in doubt unless it %s', async (_name, error, kind) => {
    const operations = createOperations({ watchPool: failing(error), pool: failing(error) });
    expect(await kindOf(operations.pause())).toBe(kind);
    expect(await kindOf(operations.decideHold(1, 'approve'))).toBe(kind);
    // A look changes nothing: there is nothing to be in doubt about.
    expect(await kindOf(operations.overview())).toBe('unavailable');
  });
});
