/** The sandbox CRM in a process of its own, so that its work is not counted as ours. */
import { type Child, startChild } from './child.ts';

export const TOKEN = 'bench-token';

export type SandboxCalls = {
  /** Seeds the account with contacts that have links and custom fields, and listens. */
  readonly start: { readonly input: { readonly contacts: number }; readonly output: { readonly url: string } };
  /** People change the job titles of so many contacts. */
  readonly edit: { readonly input: { readonly contacts: number }; readonly output: null };
  /** Moves the CRM's clock, so that what was edited just now is old. */
  readonly advance: { readonly input: { readonly seconds: number }; readonly output: null };
  /** How many calls of each kind arrived since this was asked last. */
  readonly takeCalls: { readonly input: null; readonly output: { readonly [call: string]: number } };
  /**
   * When the PUT of this contact arrived, at once or as soon as it does: nanoseconds of the machine's monotonic clock, which all its
   * processes share. Each arrival is told once.
   */
  readonly arrival: { readonly input: { readonly crmId: number }; readonly output: bigint };
};

export interface BenchSandbox extends Child<SandboxCalls> {
  readonly url: string;
}

export const startSandboxProcess = async (contacts: number): Promise<BenchSandbox> => {
  const child = startChild<SandboxCalls>('./sandbox-child.ts');
  const { url } = await child.call('start', { contacts });
  return { ...child, url };
};
