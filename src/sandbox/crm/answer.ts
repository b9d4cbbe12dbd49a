/** An answer of the account before HTTP: a status and the JSON body, `undefined` for an empty one. */
export interface Answer {
  readonly status: number;
  readonly body: unknown;
}

export const ok = (body: unknown): Answer => ({ status: 200, body });
export const created = (body: unknown): Answer => ({ status: 201, body });
export const noContent = (): Answer => ({ status: 204, body: undefined });

export const notFound = (id: number | string): Answer => ({ status: 404, body: { message: `No query results for model [Contact] ${id}` } });
export const forbidden = (message = 'This action is unauthorized.'): Answer => ({ status: 403, body: { message } });
export const conflict = (message: string): Answer => ({ status: 409, body: { message } });
export const serverError = (message = 'Server Error'): Answer => ({ status: 500, body: { message } });

export type FieldErrors = { readonly [field: string]: readonly string[] };

/** 422: the first message, with a count of the others, and all of them by field. */
export const invalid = (errors: FieldErrors): Answer => {
  const messages = Object.values(errors).flat();
  const others = messages.length - 1;
  const more = others > 0 ? ` (and ${others} more error${others > 1 ? 's' : ''})` : '';
  return { status: 422, body: { message: `${messages[0] ?? 'The given data was invalid.'}${more}`, errors } };
};

/** Ends an operation with an answer from anywhere inside it, as the product's `abort()` and uncaught database errors do. */
export class Abort extends Error {
  readonly answer: Answer;
  constructor(answer: Answer) {
    super(`aborted with ${answer.status}`);
    this.answer = answer;
  }
}

/** The one place where an `Abort` becomes its answer. */
export const answering = (operation: () => Answer): Answer => {
  try {
    return operation();
  } catch (error) {
    if (error instanceof Abort) return error.answer;
    throw error;
  }
};
