/** What the CRM saw of one contact, to be held against the log. */
import type { LinkKind } from '../../src/domain/contact.ts';
import type { CallName } from '../../src/sandbox/crm/call-log.ts';
import type { Harness } from './harness.ts';

/** The write calls that arrived, in order, with what they carried; those that were not processed included. */
export const writesTo = ({ account }: Harness, crmId?: number): readonly (readonly [CallName, unknown])[] =>
  account.calls.calls
    .filter(({ method, id }) => method !== 'GET' && (crmId === undefined || id === crmId))
    .map(({ call, body }) => [call, body] as const);

export const idsOf = ({ account }: Harness, kind: LinkKind): readonly number[] => account.records(kind).map(({ id }) => id);
