/** WRITE_MODE=ordered: a contact as each of the attempts that its edits take will see it. Pure. */
import type { OpenEdit } from '../../ports/mirror-view.ts';
import type { Situation, Step } from '../../ports/mirror.ts';
import type { RunContext } from '../context.ts';
import { showStep } from '../ordered-step.ts';

/** The contact before each of its steps. */
export const situationsOf = (situation: Situation, edits: readonly OpenEdit[], { customFields }: RunContext): readonly Situation[] => {
  // The CRM has no such contact and none is being inserted: one attempt takes them all.
  if (situation.crmId === null && edits.length > 0 && !edits.some(({ op }) => op === 'insert')) return [situation];
  const shown: Situation[] = [];
  let now = situation;
  for (const step of stepsOf(edits, situation)) {
    const seen = showStep({ ...now, open: { ...now.open, states: new Set() } }, step, new Set(), customFields);
    shown.push(seen);
    if (seen.row === null) break;
    // Taken to have arrived: the next step starts from there. A contact that was just created has some id.
    const { fields, links } = seen.row;
    now = { ...situation, crmId: seen.crmId ?? 0, base: { fields, links }, sent: null, attempt: null, intent: null };
  }
  return shown;
};

/** Links that one transaction attached, or detached, in a row are one step; every other edit is one of its own. */
const stepsOf = (edits: readonly OpenEdit[], { row }: Situation): readonly Step[] => {
  const steps: { readonly edits: OpenEdit[] }[] = [];
  for (const edit of edits) {
    const [before] = steps.at(-1)?.edits ?? [];
    const isSame = before !== undefined && edit.link !== null && before.link !== null && before.op === edit.op && before.txid === edit.txid;
    if (isSame) steps.at(-1)?.edits.push(edit);
    else steps.push({ edits: [edit] });
  }
  const set = new Map<string, unknown>(
    edits.flatMap(({ after, op }) => (op === 'insert' || op === 'update' ? Object.entries(after ?? {}) : [])),
  );
  const flat: { readonly [field: string]: unknown } = row === null ? {} : { ...row.fields, ...row.fields.custom_fields };
  const newest =
    row === null ? new Map() : new Map([...set].map(([field, value]) => [field, { set: value, holds: flat[field] ?? null }] as const));
  return steps.map((step) => ({ edits: step.edits, newest }));
};
