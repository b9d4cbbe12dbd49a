/**
 * What of an error may be logged. A whitelist: messages and properties hold request options (with the token), statements with their
 * parameters, and rows (with people's data), so none of them is ever copied. What is left says what kind of error it is and where.
 */

export type ErrorFields = { readonly [name: string]: string };

const CAUSES_MAX = 3;
const FRAMES_MAX = 12;

/** A code of Node, Postgres (SQLSTATE) or ours: short and without spaces; anything else could be text. */
const CODE = /^[A-Za-z0-9_.-]{1,64}$/;
/** A line of a stack that is a place, not a part of a message of several lines. */
const FRAME = /^ {4}at .+$/;

const codeOf = (value: unknown): string | null => (typeof value === 'string' && CODE.test(value) ? value : null);

const chainOf = (error: unknown): readonly object[] => {
  const chain: object[] = [];
  for (let at = error; typeof at === 'object' && at !== null && chain.length <= CAUSES_MAX && !chain.includes(at);) {
    chain.push(at);
    at = 'cause' in at ? at.cause : undefined;
  }
  return chain;
};

const nameOf = (error: object): string => codeOf('name' in error ? error.name : null) ?? 'Error';

const framesOf = (error: object): string => {
  const stack = 'stack' in error && typeof error.stack === 'string' ? error.stack : '';
  const message = 'message' in error && typeof error.message === 'string' ? error.message : '';
  // The message stands in front of the frames, and may look like one.
  const start = message === '' ? -1 : stack.indexOf(message);
  const frames = (start < 0 ? stack : stack.slice(start + message.length)).split('\n').filter((line) => FRAME.test(line));
  return frames.slice(0, FRAMES_MAX).join('\n');
};

/**
 * The fields of an error for a log line: `error_name`, `error_code`, `error_causes` (`name:code`, outermost first) and `error_stack` (places
 * only). Anything that is not an error gives its type alone.
 */
export const errorFields = (error: unknown): ErrorFields => {
  const [first, ...causes] = chainOf(error);
  if (first === undefined) return { error_name: typeof error };
  const fields: Record<string, string> = { error_name: nameOf(first) };
  const code = codeOf('code' in first ? first.code : null);
  if (code !== null) fields['error_code'] = code;
  if (causes.length > 0) {
    fields['error_causes'] = causes.map((cause) => [nameOf(cause), codeOf('code' in cause ? cause.code : null) ?? '-'].join(':')).join(' ');
  }
  const frames = framesOf(first);
  if (frames !== '') fields['error_stack'] = frames;
  return fields;
};
