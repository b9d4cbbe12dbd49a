/** Another process of the bench, asked by name over Node's own channel. It ends with the process that started it. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** What a child can be asked. Values are cloned on their way: plain data and bigint. */
export type Calls = { readonly [name: string]: { readonly input: unknown; readonly output: unknown } };

export interface Child<C extends Calls> extends AsyncDisposable {
  /** @throws Error with the child's own message, or where it ended before it answered */
  call<K extends keyof C & string>(name: K, input: C[K]['input']): Promise<C[K]['output']>;
}

interface Request {
  readonly id: number;
  readonly name: string;
  readonly input: unknown;
}
interface Reply {
  readonly id: number;
  readonly output?: unknown;
  readonly problem?: string;
}

/** `file` is beside this one. */
export const startChild = <C extends Calls>(file: string): Child<C> => {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), { serialization: 'advanced' });
  const waiting = new Map<number, PromiseWithResolvers<unknown>>();
  let count = 0;
  child.on('message', (reply: Reply) => {
    const answer = waiting.get(reply.id);
    waiting.delete(reply.id);
    if (reply.problem === undefined) answer?.resolve(reply.output);
    else answer?.reject(new Error(`${file}: ${reply.problem}`));
  });
  child.once('exit', (code, signal) => {
    for (const answer of waiting.values()) answer.reject(new Error(`${file} ended with ${signal ?? `code ${code}`}`));
    waiting.clear();
  });
  return {
    call: async (name, input) => {
      const answer = Promise.withResolvers<unknown>();
      count += 1;
      waiting.set(count, answer);
      const request: Request = { id: count, name, input };
      child.send(request);
      return await answer.promise;
    },
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.disconnect();
      await gone;
    },
  };
};

export type Handlers<C extends Calls> = {
  readonly [K in keyof C]: (input: C[K]['input']) => C[K]['output'] | Promise<C[K]['output']>;
};

/** The child's side: answers until the parent is gone. */
export const serve = <C extends Calls>(handlers: Handlers<C>): void => {
  const answer = async ({ id, name, input }: Request): Promise<Reply> => {
    try {
      const handler = handlers[name];
      if (handler === undefined) throw new Error(`nobody answers to ${name}`);
      return { id, output: await handler(input) };
    } catch (error) {
      return { id, problem: error instanceof Error ? error.message : String(error) };
    }
  };
  process.on('message', (request: Request) => void answer(request).then((reply) => process.send?.(reply)));
  process.once('disconnect', () => process.exit());
};
