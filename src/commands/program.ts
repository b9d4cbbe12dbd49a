/** The command line: names, arguments and options. What a command does is an action, which `src/cli.ts` gives. */
import { Argument, Command, InvalidArgumentError } from 'commander';
import { isRoleName } from '../postgres/roles.ts';
import { SHELLS, type Shell } from './completion.ts';
import { isChoice } from './conflicts.ts';
import type { Json, RetryOptions } from './control.ts';
import type { DoctorOptions } from './doctor/doctor.ts';
import type { GrantsOptions } from './grants.ts';
import type { ExitCode } from './io.ts';
import { after, PAGES, PROGRAM, type Page } from './manual.ts';
import type { PlanOptions } from './plan.ts';
import type { SandboxOptions } from './sandbox.ts';

type Action<A extends readonly unknown[]> = (...args: A) => Promise<ExitCode>;

export interface Actions {
  readonly start: Action<[]>;
  readonly migrate: Action<[Json]>;
  readonly sync: Action<[Json]>;
  readonly resync: Action<[Json & { readonly links: boolean; readonly wait: boolean }]>;
  readonly audit: Action<[Json]>;
  readonly status: Action<[Json & { readonly watch: boolean }]>;
  readonly plan: Action<[PlanOptions]>;
  readonly doctor: Action<[DoctorOptions]>;
  readonly pause: Action<[Json]>;
  readonly resume: Action<[Json]>;
  readonly retry: Action<[ids: readonly number[], options: RetryOptions]>;
  readonly holds: Action<[Json]>;
  readonly decideHold: Action<[id: number, how: 'approve' | 'reject', options: Json]>;
  readonly conflicts: Action<[Json]>;
  readonly resolveConflict: Action<[id: number, choice: string, options: Json]>;
  readonly search: Action<[term: string, options: Json]>;
  readonly grants: Action<[GrantsOptions]>;
  readonly completion: Action<[Shell]>;
  readonly complete: Action<[program: Command, words: readonly string[]]>;
  readonly sandbox: Action<[SandboxOptions]>;
  readonly demo: Action<[{ readonly exit: boolean }]>;
}

export interface ProgramOptions {
  readonly version: string;
  readonly actions: Actions;
  /** Runs an action and sets the exit code. */
  readonly run: (command: () => Promise<ExitCode>) => Promise<void>;
}

const describe = (command: Command, page: Page): Command =>
  command.summary(page.summary).description(page.description).addHelpText('after', after(page));

const toId = (text: string): number => {
  if (!/^[1-9][0-9]{0,14}$/.test(text)) throw new InvalidArgumentError('It is the number that the list shows.');
  return Number(text);
};
const toIds = (text: string, before: readonly number[] = []): readonly number[] => [...before, toId(text)];
const toCount = (text: string): number => {
  if (!/^[0-9]{1,7}$/.test(text)) throw new InvalidArgumentError('It is a whole number up to 9999999.');
  return Number(text);
};
const toChoice = (text: string): string => {
  if (!isChoice(text)) throw new InvalidArgumentError(`It is crm, mirror, or a value as JSON; a text with its quotes: '"Bern"'.`);
  return text;
};
const toRole = (text: string): string => {
  if (!isRoleName(text)) throw new InvalidArgumentError('It is the name of one role: letters, digits, _, -, . and @, at most 63 bytes.');
  return text;
};

const ONE_LINE = 'one line of JSON, on a terminal too';
const OBJECT_A_LINE = 'one JSON object a line';

export const createProgram = ({ version, actions, run }: ProgramOptions): Command => {
  const program = describe(new Command('relate-mirror'), PROGRAM).version(version).showHelpAfterError('(--help tells more)').exitOverride();
  const add = (name: keyof typeof PAGES): Command => describe(program.command(name), PAGES[name]);

  addWork(add, { actions, run });
  add('status')
    .option('--json', 'one line of JSON with the columns of sync.status')
    .option('--watch', 'again each second, until Ctrl-C')
    .action(({ json = false, watch = false }: { json?: boolean; watch?: boolean }) => run(() => actions.status({ json, watch })));
  add('plan')
    .option('--full', 'compare everything, as a sweep does, and not only what changed')
    .option('--all', 'show every line, not the first of each kind')
    .option('--json', OBJECT_A_LINE)
    .action(({ full = false, all = false, json = false }: Partial<PlanOptions>) => run(() => actions.plan({ full, all, json })));
  add('doctor')
    .option('--json', OBJECT_A_LINE)
    .option('--restored', 'say that this database was restored: nothing is pushed until a person approves')
    .action(({ json = false, restored = false }: Partial<DoctorOptions>) => run(() => actions.doctor({ json, restored })));
  for (const name of ['pause', 'resume'] as const) {
    add(name)
      .option('--json', ONE_LINE)
      .action(({ json = false }: Partial<Json>) => run(() => actions[name]({ json })));
  }
  add('retry')
    .argument('[id...]', 'the numbers of edits, as sync.parked and sync.queue show them', toIds)
    .option('--all', 'everything that is parked or waits for another try')
    .option('--json', OBJECT_A_LINE)
    .action((ids: readonly number[] = [], { all = false, json = false }: Partial<RetryOptions>) =>
      run(() => actions.retry(ids, { all, json })),
    );
  addDecisions(add, { actions, run });
  add('search')
    .argument('<term>', 'what to look for')
    .option('--json', 'one JSON object a line, with all fields')
    .action((term: string, { json = false }: Partial<Json>) => run(() => actions.search(term, { json })));
  add('grants')
    .option('--daemon <role>', 'the login of a daemon that does not own the schemas', toRole)
    .action(({ daemon = null }: Partial<GrantsOptions>) => run(() => actions.grants({ daemon })));
  addTrials(add, { actions, run });
  add('completion')
    .addArgument(new Argument('<shell>', 'the shell that is to learn it').choices(SHELLS))
    .action((shell: Shell) => run(() => actions.completion(shell)));
  // What the scripts call, as `complete -- WORD…`.
  program
    .command('complete', { hidden: true })
    .argument('[word...]')
    .action((words: readonly string[]) => run(() => actions.complete(program, words)));
  return program;
};

/** Those that need no account. */
const addTrials = (add: (name: keyof typeof PAGES) => Command, { actions, run }: Omit<ProgramOptions, 'version'>): void => {
  add('sandbox')
    .option('--host <address>', 'where it listens; the port is the one of CRM_URL', '127.0.0.1')
    .option('--contacts <number>', 'how many people it knows', toCount, 500)
    .option('--rate <calls>', 'its limit of calls a minute; 0 for none', toCount, 600)
    .action(({ host, contacts, rate: ratePerMinute }: { host: string; contacts: number; rate: number }) =>
      run(() => actions.sandbox({ host, contacts, ratePerMinute })),
    );
  add('demo')
    .option('--exit', 'end after the walk-through; exit code 0 only if every step was checked to have happened')
    .action(({ exit = false }: { exit?: boolean }) => run(() => actions.demo({ exit })));
};

type Adding = Omit<ProgramOptions, 'version'>;

/** What the leader does, and what anybody may ask of it. */
const addWork = (add: (name: keyof typeof PAGES) => Command, { actions, run }: Adding): void => {
  add('start').action(() => run(actions.start));
  add('migrate')
    .option('--json', ONE_LINE)
    .action(({ json = false }: Partial<Json>) => run(() => actions.migrate({ json })));
  add('sync')
    .option('--json', ONE_LINE)
    .action(({ json = false }: Partial<Json>) => run(() => actions.sync({ json })));
  add('resync')
    .option('--links', "read every contact's links too")
    .option('--no-wait', 'only ask for it, and print the number of the run')
    .option('--json', ONE_LINE)
    .action(({ links = false, wait, json = false }: { links?: boolean; wait: boolean; json?: boolean }) =>
      run(() => actions.resync({ links, wait, json })),
    );
  add('audit')
    .option('--json', ONE_LINE)
    .action(({ json = false }: Partial<Json>) => run(() => actions.audit({ json })));
};

/** Those with commands of their own below them. `--json` may stand before or behind the lower one. */
const addDecisions = (add: (name: keyof typeof PAGES) => Command, { actions, run }: Adding): void => {
  const jsonOf = (command: Command): Json => ({ json: command.optsWithGlobals<Partial<Json>>().json ?? false });
  const holds = add('holds')
    .option('--json', OBJECT_A_LINE)
    .action(({ json = false }: Partial<Json>) => run(() => actions.holds({ json })));
  for (const how of ['approve', 'reject'] as const) {
    holds
      .command(how)
      .summary(how === 'approve' ? 'let a plan through' : 'undo a plan')
      .argument('<id>', 'the number of the hold', toId)
      .option('--json', ONE_LINE)
      .action((id: number, _options: object, command: Command) => run(() => actions.decideHold(id, how, jsonOf(command))));
  }
  const conflicts = add('conflicts')
    .option('--json', OBJECT_A_LINE)
    .action(({ json = false }: Partial<Json>) => run(() => actions.conflicts({ json })));
  conflicts
    .command('resolve')
    .summary('decide a conflict')
    .argument('<id>', 'the number of the conflict', toId)
    .argument('<choice>', 'crm, mirror, or a value as JSON', toChoice)
    .option('--json', ONE_LINE)
    .action((id: number, choice: string, _options: object, command: Command) =>
      run(() => actions.resolveConflict(id, choice, jsonOf(command))),
    );
};
