/** `plan`: the dry run of both directions, as a diff that a person can read, or as one JSON object a line. */
import { OtherAccount, type Preview } from '../app.ts';
import type { Clock } from '../ports/ambient.ts';
import type { Direction, PlanChange, PlanConflict, PlanLine, PlanNoteCode, PlanTotal } from '../sync/preview/lines.ts';
import { explainCode } from './explain.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';
import { createProgress } from './progress.ts';
import { count, paintFor, type Paint } from './status.ts';

export interface PlanOptions {
  readonly json: boolean;
  readonly full: boolean;
  /** Every line. */
  readonly all: boolean;
}

/** Of each kind; the totals count all, and `--json` gives all. */
const SHOWN = 10;
const VALUE_WIDTH = 60;
/** A longer reason has a line of its own. */
const REASON_WIDTH = 45;

export const runPlan = async (io: Io, preview: Preview, clock: Clock, { json, full, all }: PlanOptions): Promise<ExitCode> => {
  if (!(await preview.isOwnAccount()))
    throw new OtherAccount('CRM_URL is not the account that this mirror was filled from: nothing would be pulled or pushed.');
  const progress = full ? createProgress(io, clock) : null;
  const printer = json ? null : createPrinter(io, all);
  const tell = (line: PlanLine): void => (printer === null ? io.out(JSON.stringify(line)) : printer.add(line));
  const stoppedBy = await preview.run({ full, tell, onProgress: (done, total) => progress?.show({ phase: 'compared', done, total }) });
  progress?.end(stoppedBy === null);
  if (io.signal.aborted) return EXIT.done;
  printer?.print();
  if (stoppedBy === null) return EXIT.done;
  io.err(`The plan is not complete: ${stoppedBy.code}. ${explainCode(stoppedBy.code)}.`);
  return EXIT.failed;
};

/** Notes that say that there is more to be read. */
const NOT_WHOLE: ReadonlySet<PlanNoteCode> = new Set(['full_comparison_needed', 'incomplete', 'stopped']);

interface Section {
  readonly title: string;
  count: number;
  readonly lines: string[];
}

/** Gathers by kind, keeps no more than is shown, and prints the whole at the end: counts stand in the titles. */
const createPrinter = (io: Io, all: boolean): { add(line: PlanLine): void; print(): void } => {
  const paint = paintFor(io);
  const sections = new Map<string, Section>();
  const notes: string[] = [];
  let total: PlanTotal | null = null;
  let isWhole = true;
  const addTo = (title: string, lines: () => readonly string[]): void => {
    const section = sections.get(title) ?? { title, count: 0, lines: [] };
    sections.set(title, section);
    section.count += 1;
    if (all || section.count <= SHOWN) section.lines.push(...lines());
  };
  return {
    add: (line) => {
      if (line.kind === 'note') {
        notes.push(line.detail);
        isWhole &&= !NOT_WHOLE.has(line.code);
      }
      if (line.kind === 'conflict') addTo(CONFLICTS, () => describeConflict(line, paint));
      else if (line.kind === 'change') addTo(titleOf(line), () => describeChange(line, paint));
      else if (line.kind === 'total') total = line;
    },
    print: () => {
      for (const note of notes) io.out(paint('warn', note));
      if (notes.length > 0) io.out('');
      for (const title of TITLES) {
        const section = sections.get(title);
        if (section === undefined) continue;
        io.out(`${paint('bold', title)}  ${paint('dim', section.count.toLocaleString('en'))}`);
        for (const text of section.lines) io.out(text);
        if (!all && section.count > SHOWN) io.out(paint('dim', `  … and ${(section.count - SHOWN).toLocaleString('en')} more: --all`));
        io.out('');
      }
      if (total !== null) for (const text of describeTotal(total, isWhole, paint)) io.out(text);
    },
  };
};

const INTO = { pull: 'into the mirror', push: 'into the CRM' } as const satisfies { readonly [D in Direction]: string };
const IN = { pull: 'in the mirror', push: 'in the CRM' } as const satisfies { readonly [D in Direction]: string };
const ACTIONS = { create: 'Create', update: 'Update', delete: 'Delete', pair: 'Pair' } as const;
/** What is not done now has one section for each reason, whatever it is. */
const WAITS = { held: 'Held for a person', parked: 'Parked', waiting: 'Waiting' } as const;
const CONFLICTS = 'Conflicts';
const titleOf = ({ direction, action, state }: Pick<PlanChange, 'direction' | 'action' | 'state'>): string =>
  state === 'due' || state === 'unknown' ? `${ACTIONS[action]} ${IN[direction]}` : `${WAITS[state]}, on the way ${INTO[direction]}`;
const TITLES: readonly string[] = [
  ...(['pull', 'push'] as const).flatMap((direction) => [
    ...(['create', 'update', 'delete', 'pair'] as const).map((action) => titleOf({ direction, action, state: 'due' })),
    ...(['held', 'parked', 'waiting'] as const).map((state) => titleOf({ direction, action: 'update', state })),
  ]),
  CONFLICTS,
];

const SIGNS = { create: '+', update: '~', delete: '-', pair: '=' } as const;
const STYLES = { create: 'good', update: 'warn', delete: 'bad', pair: 'good' } as const;

const describeChange = (change: PlanChange, paint: Paint): readonly string[] => {
  const { action, reason, calls, state } = change;
  const isDone = state === 'due' || state === 'unknown';
  const reasons = [...(state === 'unknown' ? ['an earlier call is asked about first'] : []), ...(reason === null ? [] : [reason])].join(
    '; ',
  );
  const isLong = reasons.length > REASON_WIDTH;
  // Behind what is not done no calls are made.
  const beside = [...(isDone && calls.length > 0 ? [calls.join(', ')] : []), ...(reasons === '' || isLong ? [] : [reasons])];
  const head = `  ${paint(STYLES[action], SIGNS[action])} ${labelOf(change)}${beside.length === 0 ? '' : paint('dim', `  ${beside.join('; ')}`)}`;
  const fields = Object.entries(change.fields);
  const width = Math.max(0, ...fields.map(([name]) => name.length));
  const isNew = action === 'create';
  return [
    head,
    ...(isLong ? [`      ${paint('dim', reasons)}`] : []),
    ...fields.map(([name, { before, after }]) => {
      const to = shown(after);
      return `      ${paint('dim', name.padEnd(width))}  ${isNew ? to : `${shown(before)} → ${to}`}`;
    }),
    ...Object.entries(change.links).map(([kind, { attach, detach }]) => {
      const parts = [...attach.map((id) => `+${id}`), ...detach.map((id) => `-${id}`)];
      return `      ${paint('dim', kind)}  ${cut(parts.join(' '))}`;
    }),
  ];
};

const OUTCOMES: { readonly [outcome: string]: string } = {
  crm: "the CRM's stands",
  mirror: "the mirror's stands",
  open: 'a person decides',
};

const describeConflict = (conflict: PlanConflict, paint: Paint): readonly string[] => {
  const { field, mirror, crm, base, policy } = conflict;
  const outcome = OUTCOMES[conflict.outcome] ?? conflict.outcome;
  const label = labelOf({ ...conflict, name: null });
  // A deletion against an edit: the whole contact is in question, and its values are those of the change.
  const what = field !== 'contact' ? field : crm === null ? 'deleted in the CRM, edited here' : 'deleted here, edited in the CRM';
  const head = `  ${paint('warn', '!')} ${label}, ${what}: ${outcome} ${paint('dim', `(policy ${policy})`)}`;
  if (field === 'contact') return [head];
  return [
    head,
    `      ${paint('dim', 'mirror')}  ${shown(mirror)}`,
    `      ${paint('dim', 'CRM   ')}  ${shown(crm)}`,
    `      ${paint('dim', 'before')}  ${shown(base)}`,
  ];
};

const labelOf = ({ contact_id: id, crm_id: crmId, name }: Pick<PlanChange, 'contact_id' | 'crm_id' | 'name'>): string => {
  const ids = id === null ? `CRM ${crmId ?? '?'}` : `contact ${id}${crmId === null ? '' : ` (CRM ${crmId})`}`;
  return name === null ? ids : `${ids}  ${printable(name)}`;
};

/** A text as it is, anything else as JSON; nothing that a terminal would obey. */
const shown = (value: unknown): string => {
  if (value === null || value === undefined || (Array.isArray(value) && value.length === 0)) return '∅';
  return cut(printable(typeof value === 'string' ? value : JSON.stringify(value)));
};
const printable = (text: string): string => text.replaceAll(/\p{Cc}+/gu, ' ');
const cut = (text: string): string => (text.length <= VALUE_WIDTH ? text : `${text.slice(0, VALUE_WIDTH - 1)}…`);

const COLUMNS = ['creates', 'updates', 'deletes', 'links', 'held', 'parked', 'waiting'] as const;

const describeTotal = (total: PlanTotal, isWhole: boolean, paint: Paint): readonly string[] => {
  const rows = (['pull', 'push'] as const).map((direction) => [
    INTO[direction],
    ...COLUMNS.map((name) => total[direction][name].toLocaleString('en')),
  ]);
  const widths = ['', ...COLUMNS].map((name, at) => Math.max(name.length, ...rows.map((row) => row[at]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    cells.map((cell, at) => (at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0))).join('  ');
  const calls = Object.entries(total.calls).map(([endpoint, times]) => `${endpoint} ${times.toLocaleString('en')}`);
  const changes = [total.pull, total.push].flatMap((counts) => COLUMNS.map((name) => counts[name])).reduce((sum, some) => sum + some, 0);
  return [
    ...verdict(changes, total, isWhole, paint),
    paint('dim', line(['', ...COLUMNS])),
    ...rows.map(line),
    '',
    `${count(total.conflicts, 'conflict')}. ${count(total.calls_total, 'call')}: ${minutesOf(total)} at ${total.calls_per_minute.toLocaleString('en')} a minute.`,
    ...(calls.length === 0 ? [] : [paint('dim', `Calls: ${calls.join(', ')}.`)]),
    paint('dim', `Nothing was changed; this plan took ${count(total.calls_made, 'call')}.`),
  ];
};

/** Equal are two sides only where nothing is open and all that a pull reads was read. */
const verdict = (changes: number, total: PlanTotal, isWhole: boolean, paint: Paint): readonly string[] => {
  if (changes > 0 || total.conflicts > 0) return [];
  const said = isWhole
    ? paint('good', 'Nothing to do: as far as was looked, both sides are equal.')
    : paint('warn', 'Nothing to tell so far; whether both sides are equal is not known.');
  return [said, ''];
};

const minutesOf = ({ minutes, calls_total: calls }: PlanTotal): string => {
  if (calls === 0) return 'no time';
  return minutes < 1 ? 'under a minute' : `about ${count(Math.ceil(minutes), 'minute')}`;
};
