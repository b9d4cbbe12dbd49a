/** Words that people, scripts and dashboards read in SQL: adding one is free, changing one is a breaking change. */
import { expect, test } from 'vitest';
import { CHANGE_OPS, CHANGE_STATES, LINK_OPS, ROW_OPS, SETTLED_STATES } from '../../src/domain/change.ts';
import { ERROR_CODES, FAILURE_CLASSES } from '../../src/domain/errors.ts';

test('the ops and states of the change log are those that were promised', () => {
  expect(CHANGE_OPS).toEqual(['insert', 'update', 'delete', 'attach', 'detach']);
  expect(CHANGE_STATES).toEqual(['pending', 'sending', 'done', 'merged', 'retry', 'parked', 'held', 'unknown']);
});

test('every op belongs to the row or to its links, and to one of them only', () => {
  expect([...ROW_OPS, ...LINK_OPS].toSorted()).toEqual([...CHANGE_OPS].toSorted());
  expect(new Set([...ROW_OPS, ...LINK_OPS]).size).toBe(CHANGE_OPS.length);
});

test('an edit is settled when it is done or merged, and only then', () => {
  expect(SETTLED_STATES).toEqual(['done', 'merged']);
});

test('there are six classes of failure', () => {
  expect(FAILURE_CLASSES).toEqual(['retry', 'later', 'refetch', 'park', 'unknown', 'fatal']);
});

test('every error code is one word for programs and whole sentences for people', () => {
  for (const [code, sentences] of Object.entries(ERROR_CODES)) {
    expect(code).toMatch(/^[a-z]+(_[a-z]+)*$/);
    expect(sentences).toMatch(/^[A-Z].{10,}[.?]$/);
  }
  expect(new Set(Object.values(ERROR_CODES)).size).toBe(Object.keys(ERROR_CODES).length);
});
