/** The tables of schemas crm and sync, as far as the port shows them. */
import type { ContactFields, CustomFieldDef, KnownLinks, LinkKind, NameKind } from '../../src/domain/contact.ts';
import type { DamageOp } from '../../src/domain/brake.ts';
import type { ChangeOp, ChangeState } from '../../src/domain/change.ts';
import type { Policy } from '../../src/domain/merge.ts';
import type { Capabilities } from '../../src/ports/crm.ts';
import type {
  AccountState,
  BrakeDirection,
  ConflictRecord,
  CreateIntent,
  Mark,
  RunCursor,
  RunKind,
  RunState,
  Sent,
} from '../../src/ports/mirror.ts';
import { Table, type Transaction } from './fake-database.ts';

export interface ContactRow {
  readonly id: number;
  readonly crmId: number | null;
  readonly fields: ContactFields;
  readonly extra: unknown;
  readonly createdAt: Date | null;
  readonly updatedAt: Date | null;
}
export interface LinkRow {
  readonly kind: LinkKind;
  readonly contactId: number;
  readonly id: number;
}
export interface LogRow {
  readonly id: number;
  readonly contactId: number;
  readonly crmId: number | null;
  readonly op: ChangeOp;
  /** By field name, custom fields flattened; a link under its kind. */
  readonly oldValues: { readonly [name: string]: unknown } | null;
  readonly newValues: { readonly [name: string]: unknown } | null;
  readonly changedAt: Date;
  readonly changedBy: string;
  readonly state: ChangeState;
  readonly attempts: number;
  readonly nextAttemptAt: Date | null;
  readonly code: string | null;
  readonly error: string | null;
  readonly settledAt: Date | null;
  readonly attempt: number | null;
  readonly holdId: number | null;
  /** Of the transaction that made the edit. */
  readonly txid: number;
}
export interface StateRow {
  readonly contactId: number;
  readonly crmId: number | null;
  readonly base: ContactFields | null;
  readonly baseHash: string | null;
  readonly extraHash: string | null;
  readonly links: KnownLinks;
  readonly attempt: { readonly number: number; readonly state: 'sending' | 'unknown'; readonly epoch: number; readonly at: Date } | null;
  readonly intent: CreateIntent | null;
  readonly sent: Sent | null;
  readonly formerCrmId: number | null;
  readonly settledAt: Date | null;
  readonly deletedAt: Date | null;
  readonly deletedBy: 'mirror' | 'crm' | null;
  readonly goneAt: Date | null;
  readonly hiddenAt: Date | null;
  readonly holdId: number | null;
}
export interface ConflictRow extends ConflictRecord {
  readonly id: number;
  readonly state: 'open' | 'decided';
  readonly decidedAt: Date | null;
}
export interface PlanLine {
  readonly contact_id: number;
  readonly crm_id: number | null;
  readonly op: ChangeOp;
  readonly fields?: readonly string[];
  readonly links?: { readonly [K in LinkKind]?: readonly number[] };
  readonly released?: true;
}
export interface DamageRow {
  readonly id: number;
  readonly direction: 'push' | 'pull';
  readonly contactId: number;
  readonly op: DamageOp;
  readonly at: Date;
}
export interface HoldRow {
  readonly id: number;
  readonly direction: 'push' | 'pull';
  /** Default: the brake's. */
  readonly cause?: 'brake' | 'identity';
  readonly reason: string;
  readonly plan: readonly PlanLine[];
  readonly state: 'open' | 'approved' | 'rejected' | 'released';
}
export interface RunRow {
  readonly id: number;
  readonly kind: RunKind;
  readonly state: RunState;
  readonly isRequested: boolean;
  readonly withLinks: boolean;
  readonly startedAt: Date | null;
  readonly cursor: RunCursor | null;
  readonly epoch: number | null;
  readonly complete: boolean | null;
  readonly error: string | null;
  readonly pages: number;
  readonly rowsSeen: number;
  readonly rowsWritten: number;
  readonly calls: number;
}

/** Which database and account the mirror was filled from, as `sync.account` has it. */
export interface StoredIdentity {
  readonly crmUrl: string | null;
  readonly database: string | null;
  readonly holdId: number | null;
  /** From when on a sweep counts. */
  readonly heldAt: Date;
}

export const createTables = () => ({
  contacts: new Table<number, ContactRow>('contacts'),
  links: new Table<string, LinkRow>('links'),
  names: new Table<string, { readonly kind: NameKind; readonly id: number; readonly name: string }>('names'),
  log: new Table<number, LogRow>('log'),
  states: new Table<number, StateRow>('states'),
  marks: new Table<string, Mark & { readonly at: Date; readonly attempts: number; readonly nextAt: Date }>('marks'),
  refused: new Table<number, { readonly crmId: number; readonly code: string; readonly error: string }>('refused'),
  conflicts: new Table<number, ConflictRow>('conflicts'),
  holds: new Table<number, HoldRow>('holds'),
  damage: new Table<number, DamageRow>('damage'),
  runs: new Table<number, RunRow>('runs'),
  seen: new Table<number, number>('seen'),
  customFields: new Table<string, CustomFieldDef>('customFields'),
  customFieldList: new Table<'only', { readonly readAt: Date | null; readonly wantedAt: Date | null }>('customFieldList'),
  policies: new Table<string, { readonly field: string; readonly policy: Policy }>('policies'),
  capabilities: new Table<'all', { readonly found: Capabilities; readonly checkedAt: Date }>('capabilities'),
  account: new Table<'only', AccountState>('account'),
  identity: new Table<'only', StoredIdentity>('identity'),
});
export type Tables = ReturnType<typeof createTables>;

/** Sequences, the clock and the user's own rules: what is outside of transactions. */
export interface World {
  readonly tables: Tables;
  readonly now: () => Date;
  readonly nextId: (sequence: string) => number;
  /** A CHECK constraint or trigger of the user's. Throws RefusedByRule. */
  check: (fields: ContactFields) => void;
  /** A BEFORE trigger of the user's. */
  before: (fields: ContactFields) => ContactFields;
}

export interface Step {
  readonly tx: Transaction;
  readonly world: World;
  readonly epoch: number;
}

export const NEW_STATE: Omit<StateRow, 'contactId'> = {
  crmId: null,
  base: null,
  baseHash: null,
  extraHash: null,
  links: { companies: null, deals: null, activities: null },
  attempt: null,
  intent: null,
  sent: null,
  formerCrmId: null,
  settledAt: null,
  deletedAt: null,
  deletedBy: null,
  goneAt: null,
  hiddenAt: null,
  holdId: null,
};

export const linkKey = ({ kind, contactId, id }: LinkRow): string => `${kind} ${contactId} ${id}`;

export const putState = ({ tx, world }: Step, contactId: number, change: Partial<StateRow>): void => {
  const before = tx.get(world.tables.states, contactId) ?? { contactId, ...NEW_STATE };
  tx.put(world.tables.states, contactId, { ...before, ...change });
};

export const openLog = ({ tx, world }: Step, contactId: number): readonly LogRow[] =>
  tx.all(world.tables.log).filter((row) => row.contactId === contactId && row.settledAt === null);

export const putLog = ({ tx, world }: Step, row: LogRow): void => tx.put(world.tables.log, row.id, row);

export const addLog = (
  step: Step,
  row: Pick<LogRow, 'contactId' | 'crmId' | 'op' | 'oldValues' | 'newValues' | 'changedBy'> & Partial<LogRow>,
): void => {
  const now = step.world.now();
  const defaults = { changedAt: now, state: 'pending', attempts: 0, nextAttemptAt: now, code: null, error: null } as const;
  const id = step.world.nextId('log');
  putLog(step, { ...defaults, settledAt: null, attempt: null, holdId: null, txid: step.tx.id, ...row, id });
};

export const countDamage = (
  step: Step,
  direction: BrakeDirection,
  damage: readonly { readonly contactId: number; readonly op: DamageOp }[],
): void => {
  const distinct = new Map(damage.map((each) => [`${each.contactId} ${each.op}`, each]));
  for (const each of distinct.values()) {
    const id = step.world.nextId('damage');
    step.tx.put(step.world.tables.damage, id, { id, direction, at: step.world.now(), ...each });
  }
};
