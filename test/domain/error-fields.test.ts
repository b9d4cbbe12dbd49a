import { expect, test } from 'vitest';
import { errorFields } from '../../src/domain/error-fields.ts';

const SECRET = 'ada@example.com';

test('an error gives its name, its code and the places of its stack', () => {
  const fields = errorFields(Object.assign(new TypeError('wrong'), { code: 'ECONNRESET' }));
  expect(fields).toMatchObject({ error_name: 'TypeError', error_code: 'ECONNRESET' });
  expect(fields['error_stack']).toContain('error-fields.test.ts');
  expect(fields['error_stack']).not.toContain('wrong');
});

test('no message and no other property of an error is copied, whatever it looks like', () => {
  const error = Object.assign(new Error(`bad value ${SECRET}\n    at ${SECRET} (file.ts:1:1)`), {
    code: `not a code: ${SECRET}`,
    detail: `Key (email)=(${SECRET}) already exists.`,
    parameters: [SECRET],
    options: { headers: { authorization: `Bearer ${SECRET}` } },
  });
  expect(JSON.stringify(errorFields(new Error(SECRET, { cause: error })))).not.toContain(SECRET);
  expect(JSON.stringify(errorFields(error))).not.toContain(SECRET);
  expect(errorFields(error)['error_code']).toBeUndefined();
});

test('causes are listed by name and code, and a ring of causes ends', () => {
  const inner = Object.assign(new Error('refused'), { code: '23505' });
  const outer = new Error('failed', { cause: new RangeError('between', { cause: inner }) });
  inner.cause = outer;
  expect(errorFields(outer)).toMatchObject({ error_name: 'Error', error_causes: 'RangeError:- Error:23505' });
});

test('a long chain of causes is cut', () => {
  let error = new Error('0');
  for (let depth = 1; depth < 10; depth += 1) error = new Error(String(depth), { cause: error });
  expect(errorFields(error)['error_causes']).toBe('Error:- Error:- Error:-');
});

test('what is not an error gives its type alone', () => {
  expect(errorFields(SECRET)).toEqual({ error_name: 'string' });
  expect(errorFields(null)).toEqual({ error_name: 'object' });
  expect(errorFields(undefined)).toEqual({ error_name: 'undefined' });
});

test('an object that is only like an error is read with the same care', () => {
  expect(errorFields({ name: `${SECRET} again`, message: 7, stack: 7, code: 42 })).toEqual({ error_name: 'Error' });
  expect(errorFields({ message: 'absent from the stack', stack: 'X\n    at place (file.ts:1:1)' })).toEqual({
    error_name: 'Error',
    error_stack: '    at place (file.ts:1:1)',
  });
});
