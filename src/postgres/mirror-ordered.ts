/** The steps of WRITE_MODE=ordered. */
import type { ChangeOp } from '../domain/change.ts';
import type { LinkKind } from '../domain/contact.ts';
import type { MirrorTx, Step, StepEdit } from '../ports/mirror.ts';
import type { Session } from './mirror-session.ts';
import { ALL_LINK_TABLES } from './sql/columns.ts';
import { CLAIM_STEPS, READ_STEPS } from './sql/ordered.ts';

type Values = { readonly [name: string]: unknown };
/** Op, values before, values after. */
export type LoggedEdit = readonly [ChangeOp, Values | null, Values | null];
interface StepRow {
  readonly contact_id: number;
  readonly edits: readonly LoggedEdit[];
  readonly newest: { readonly [field: string]: { readonly set: unknown; readonly holds: unknown } } | null;
}

const KIND_OF: ReadonlyMap<string, LinkKind> = new Map(ALL_LINK_TABLES.map(({ kind, column }) => [column, kind]));

const toLink = (values: Values | null): StepEdit['link'] => {
  const [column, id] = Object.entries(values ?? {})[0] ?? [];
  const kind = KIND_OF.get(column ?? '');
  return kind === undefined || typeof id !== 'number' ? null : { kind, id };
};

export const toEdit = ([op, before, after]: LoggedEdit): StepEdit =>
  op === 'attach' || op === 'detach' ? { op, before: null, after: null, link: toLink(after ?? before) } : { op, before, after, link: null };

const toStep = ({ edits, newest }: StepRow): Step => ({ edits: edits.map(toEdit), newest: new Map(Object.entries(newest ?? {})) });

export const createOrderedSteps = (session: Session): Pick<MirrorTx, 'claimSteps' | 'readSteps'> => ({
  claimSteps: async (contactIds) => {
    const { rows } = await session.query<{ attempt: number }>(CLAIM_STEPS, [contactIds, session.epoch]);
    const attempt = rows[0]?.attempt;
    if (attempt === undefined) throw new Error('sync.attempt_seq gave no number.');
    return attempt;
  },
  readSteps: async (attempt, contactIds) => {
    if (contactIds.length === 0) return new Map();
    const { rows } = await session.query<StepRow>(READ_STEPS, [attempt, contactIds]);
    return new Map(rows.map((row) => [row.contact_id, toStep(row)]));
  },
});
