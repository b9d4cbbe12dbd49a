import { expect, test } from 'vitest';
import { textLength } from '../../src/domain/text-length.ts';

test.each([
  [null, 0],
  [undefined, 0],
  [true, 0],
  [12345, 0],
  ['', 0],
  ['Ada', 3],
  [['Ada', ['Bo']], 5],
  [{ name: 'Ada', tags: { a: ['x', null, 7] } }, 4 + 3 + 4 + 1 + 1],
])('the text of %j is %i characters', (value, length) => {
  expect(textLength(value)).toBe(length);
});
