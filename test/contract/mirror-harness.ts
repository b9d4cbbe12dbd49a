/** What the contract suite needs beside the port, once for the fake and once for Postgres. */
import {
  EMPTY_FIELDS,
  NO_LINKS,
  UNKNOWN_LINKS,
  contentHash,
  type ContactFields,
  type KnownLinks,
  type LinkSets,
  type RemoteContact,
} from '../../src/domain/contact.ts';
import type { ChangeOp, ChangeState } from '../../src/domain/change.ts';
import type { Policy } from '../../src/domain/merge.ts';
import type { ContactWrite, Mirror, MirrorTx, NewContact, RunKind } from '../../src/ports/mirror.ts';
import type { UserSession } from '../fakes/fake-user.ts';

/** A row of sync.change_log; links aside, whose values each side spells its own way. */
export interface LoggedChange {
  readonly id: number;
  readonly contactId: number;
  readonly op: ChangeOp;
  readonly state: ChangeState;
  readonly changedBy: string;
  readonly oldValues: { readonly [field: string]: unknown } | null;
  readonly newValues: { readonly [field: string]: unknown } | null;
  readonly attempts: number;
  readonly attempt: number | null;
  readonly isSettled: boolean;
  readonly hasNextAttempt: boolean;
  readonly code: string | null;
  readonly error: string | null;
}
export interface OpenHold {
  readonly id: number;
  readonly reason: string;
  readonly plan: readonly {
    readonly contact_id: number;
    readonly crm_id: number | null;
    readonly op: ChangeOp;
    readonly [part: string]: unknown;
  }[];
}

export interface MirrorHarness {
  readonly mirror: Mirror;
  /** The epoch that this process believes to lead under. */
  setLeaseEpoch(epoch: number | null): void;
  /** The epoch that the database knows. */
  setLeaderEpoch(epoch: number): Promise<void>;
  /** A person's session; its edits are captured. */
  begin(): Promise<UserSession>;
  log(): Promise<readonly LoggedChange[]>;
  /** Equal readings: no row version of schemas crm and sync was written in between. */
  versions(): Promise<string>;
  setPolicy(field: string, policy: Policy): Promise<void>;
  openConflicts(): Promise<readonly { readonly field: string; readonly remote: unknown }[]>;
  decidedConflicts(): Promise<number>;
  openHolds(): Promise<readonly OpenHold[]>;
  approve(holdId: number): Promise<void>;
  requestRun(kind: RunKind, withLinks: boolean): Promise<number>;
  runCounts(
    runId: number,
  ): Promise<{ readonly pages: number; readonly rowsSeen: number; readonly state: string; readonly error: string | null }>;
  names(): Promise<readonly string[]>;
  refused(): Promise<readonly { readonly crmId: number; readonly code: string }[]>;
  /** What a crash of Postgres does to an unlogged table. */
  loseSeen(): Promise<void>;
  /** The same data in another database: restored, cloned or failed over. */
  moveDatabase(): Promise<void>;
  /** What a restored backup does to younger edits: nobody logged them. */
  loseLog(): Promise<void>;
  /** A CHECK constraint of the user's against one first name. */
  forbidFirstName(name: string): Promise<void>;
  /** A BEFORE trigger of the user's that replaces one job title by another. */
  rewriteJobTitle(from: string, to: string): Promise<void>;
  close(): Promise<void>;
}
export type MakeMirror = () => Promise<MirrorHarness>;

/** One captured edit, committed at once. */
export const edit = async <T>({ begin }: MirrorHarness, work: (user: UserSession) => Promise<T>): Promise<T> => {
  const user = await begin();
  const result = await work(user);
  await user.commit();
  return result;
};

/** A transaction that stays open after its steps; the answer ends it. */
export const holdOpen = async (mirror: Mirror, steps: (tx: MirrorTx) => Promise<void>): Promise<() => Promise<void>> => {
  const entered = Promise.withResolvers<void>();
  const release = Promise.withResolvers<void>();
  const done = mirror.transaction(async (tx) => {
    await steps(tx);
    entered.resolve();
    await release.promise;
  });
  await Promise.race([entered.promise, done]);
  return async () => {
    release.resolve();
    await done;
  };
};

/** A moment of the database's clock that is later than everything before it, to the millisecond. */
export const laterNow = async (mirror: Mirror): Promise<Date> => {
  const start = await mirror.now();
  for (;;) {
    const now = await mirror.now();
    if (now.getTime() > start.getTime() + 1) return now;
  }
};

export const UPDATED_AT = new Date('2026-01-02T03:04:05Z');

export const fieldsWith = (fields: Partial<ContactFields>): ContactFields => ({ ...EMPTY_FIELDS, first_name: 'Ada', ...fields });

export const recordOf = (crmId: number, fields: Partial<ContactFields> = {}, links: Partial<KnownLinks> = {}): RemoteContact => ({
  crmId,
  fields: fieldsWith(fields),
  links: { ...UNKNOWN_LINKS, ...links },
  linkCounts: { companies: null, deals: null },
  extra: { tags: [`t${crmId}`] },
  createdAt: new Date('2026-01-01T00:00:00Z'),
  updatedAt: UPDATED_AT,
  names: [],
});

export const newContact = (crmId: number, fields: Partial<ContactFields> = {}, links: Partial<KnownLinks> = {}): NewContact => {
  const record = recordOf(crmId, fields, links);
  return {
    record,
    fields: record.fields,
    base: { fields: record.fields, links: record.links },
    baseHash: contentHash(record.fields),
    extraHash: contentHash(record.extra),
  };
};

/** Inserts paired contacts and answers their ids in the same order. */
export const pairedContacts = async (mirror: Mirror, ...contacts: readonly NewContact[]): Promise<readonly number[]> => {
  const ids = await mirror.transaction((tx) => tx.insert(contacts));
  return contacts.map(({ record }) => {
    const id = ids.get(record.crmId);
    if (id === undefined) throw new Error(`contact ${record.crmId} was not inserted`);
    return id;
  });
};

export const NO_WRITE: Omit<ContactWrite, 'contactId'> = {
  fields: null,
  addLinks: NO_LINKS,
  removeLinks: NO_LINKS,
  base: null,
  extra: null,
  crmTimes: null,
};

export const links = (sets: Partial<LinkSets>): LinkSets => ({ ...NO_LINKS, ...sets });

/** Claims everything that is due; answers the ids and the attempt's number. */
export const claimDue = (mirror: Mirror, creates = true): Promise<{ readonly ids: readonly number[]; readonly attempt: number }> =>
  mirror.transaction(async (tx) => {
    const ids = await tx.lockDue(100, { creates });
    return { ids, attempt: await tx.claim(ids) };
  });

export const situation = async (mirror: Mirror, contactId: number) => {
  const found = (await mirror.transaction((tx) => tx.read([contactId]))).get(contactId);
  if (found === undefined) throw new Error(`no situation of contact ${contactId}`);
  return found;
};
