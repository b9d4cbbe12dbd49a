/** What the CRM sends is shown to people: it must not command their terminal, or turn a line round. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { printable } from '../../src/commands/io.ts';

it.each([
  ['plain, with umlauts, 日本語 and 👩‍👩‍👧', 'plain, with umlauts, 日本語 and 👩‍👩‍👧'],
  ['two\nlines\tand a tab', 'two\nlines\tand a tab'],
  ['\u001b[32mour green\u001b[0m', '\u001b[32mour green\u001b[0m'],
  ['\u001b[2J\u001b[8mhidden', '\\u001b[2J\\u001b[8mhidden'],
  ['\u001b]0;title\u0007', '\\u001b]0;title\\u0007'],
  ['\u001b]52;c;ZXZpbA==\u001b\\', '\\u001b]52;c;ZXZpbA==\\u001b\\'],
  ['a\rb\bc\u007f', 'a\\u000db\\u0008c\\u007f'],
  ['\u009b31m', '\\u009b31m'],
  ['moc.\u202eelpmaxe', 'moc.\\u202eelpmaxe'],
  ['line\u2028line', 'line\\u2028line'],
])('%j', (text, shown) => {
  expect(printable(text)).toBe(shown);
});

it('leaves nothing that a terminal obeys but our own colours, and no JSON is another one', () => {
  const nasty = fc.string({
    unit: fc.oneof(
      fc.constantFrom('\u001b', '\u009b', '[', '8', 'm', '\u202e', '\u2066', '\u0007', '"', '\\'),
      fc.string({ unit: 'binary', maxLength: 1 }),
    ),
  });
  fc.assert(
    fc.property(nasty, (text) => {
      // oxlint-disable-next-line no-control-regex
      const rest = printable(text).replaceAll(/\u001b\[(?:0|1|2|22|31|32|33|36|39)m/g, '');
      // oxlint-disable-next-line no-control-regex
      expect(rest).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028-\u202e\u2066-\u2069]/);
      expect(JSON.parse(printable(JSON.stringify({ [text]: text })))).toEqual({ [text]: text });
    }),
  );
});
