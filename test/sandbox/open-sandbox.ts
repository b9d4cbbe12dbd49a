import { afterEach } from 'vitest';
import { createSandboxAccount } from '../../src/sandbox/crm/account.ts';
import type { SandboxAccount, SandboxAccountOptions } from '../../src/sandbox/crm/account.ts';
import { startSandbox } from '../../src/sandbox/crm/server.ts';
import type { SandboxOptions, SandboxServer } from '../../src/sandbox/crm/server.ts';

export const TOKEN = 'secret-token';

/** A clock that stands still until it is told to move. */
export const createStillClock = (start = '2026-03-01T12:00:00.400Z') => {
  let ms = Date.parse(start);
  return {
    now: () => new Date(ms),
    advance: (seconds: number) => {
      ms += seconds * 1000;
    },
  };
};

/** The keys that tests look into; the rest is only ever compared. */
export interface ContactAnswer {
  readonly id: number;
  readonly first_name: string;
  readonly updated_at: string;
  readonly companies: readonly { readonly id: number }[];
  readonly phones: readonly unknown[];
  readonly tags: readonly unknown[];
  readonly [key: string]: unknown;
}
/** One type for every answer of the API: each test knows which of the keys are there. */
export interface JsonAnswer extends ContactAnswer {
  readonly data: readonly ContactAnswer[];
  readonly meta: { readonly total: number; readonly per_page: number; readonly links: readonly { readonly label: string }[] };
  readonly message: string;
  readonly errors: { readonly [field: string]: readonly string[] };
}

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** Undefined where the answer is no JSON, whatever the type says: a test that looks into it then fails. */
  readonly body: JsonAnswer;
  /** The body of calls that answer a bare array. */
  readonly rows: readonly ContactAnswer[];
}

export type Call = (method: string, path: string, body?: unknown, headers?: Record<string, string | undefined>) => Promise<Reply>;

/** Headers set to undefined are left out. */
const createCall =
  (sandbox: SandboxServer): Call =>
  async (method, path, body, headers = {}) => {
    const all = { accept: 'application/json', 'content-type': 'application/json', authorization: `Bearer ${TOKEN}`, ...headers };
    const sent = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const answer = await fetch(sandbox.url + path, {
      method,
      headers: sent,
      redirect: 'manual',
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await answer.text();
    const isJson = answer.headers.get('content-type')?.includes('json') === true;
    const json: unknown = isJson && text !== '' ? JSON.parse(text) : undefined;
    return { status: answer.status, headers: answer.headers, text, body: json as JsonAnswer, rows: json as readonly ContactAnswer[] };
  };

export interface Opened {
  readonly sandbox: SandboxServer;
  readonly account: SandboxAccount;
  readonly clock: ReturnType<typeof createStillClock>;
  readonly call: Call;
}

const open = new Set<SandboxServer>();

afterEach(async () => {
  await Promise.all([...open].map((sandbox) => sandbox.close()));
  open.clear();
});

/** A sandbox that is closed after the test. */
export const openSandbox = async (
  options: Partial<Omit<SandboxOptions, 'account' | 'token'>> & { readonly account?: SandboxAccountOptions } = {},
): Promise<Opened> => {
  const clock = createStillClock();
  const { account: accountOptions, ...serverOptions } = options;
  const account = createSandboxAccount({ clock, ...accountOptions });
  const sandbox = await startSandbox({ account, token: TOKEN, ...serverOptions });
  open.add(sandbox);
  return { sandbox, account, clock, call: createCall(sandbox) };
};
