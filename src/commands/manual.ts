/** What `--help` says: each command in one line for the list, in full for its own page, with examples to copy. */
import { SETTINGS } from '../settings.ts';
import { wrapText } from './wrap.ts';

export interface Page {
  /** For the list of commands. */
  readonly summary: string;
  /** Its own page; wrapped to the terminal's width. */
  readonly description: string;
  /** Command lines with what they do. */
  readonly examples: readonly (readonly [command: string, does: string])[];
  /** Ready lines below the examples. */
  readonly more?: () => readonly string[];
}

const WIDTH = 78;

/** Every setting with its default and meaning: the reference, where one needs it. */
const settingsReference = (): readonly string[] => [
  'Settings, from the environment or a file .env in the working directory (X_FILE',
  'reads the value of X from a file, as container platforms hand out secrets):',
  ...SETTINGS.flatMap(({ name, shown, meaning }) => [
    '',
    `  ${name}  (${shown.replaceAll('`', '')})`,
    ...wrapText(meaning.replaceAll('`', ''), WIDTH - 6).map((line) => `      ${line}`),
  ]),
];

const EXIT_CODES = [
  'Exit codes:',
  '  0  done',
  '  1  failed, or a resync that ended partial',
  '  2  wrong usage or settings; one line for each problem says what is allowed',
  '  3  done, but something is held, parked, unknown, waiting for a retry or in an',
  '     open conflict: `relate-mirror status` says what, and where to look',
];

export const PROGRAM: Page = {
  summary: '',
  description: "Keeps a Postgres mirror of a RelateCRM account's contacts in step, both ways.",
  examples: [
    ['relate-mirror demo', 'see it work, without an account'],
    ['CRM_URL=https://crm.example.com/api CRM_TOKEN=… relate-mirror start', 'run it'],
    ['relate-mirror status', 'are both sides in step?'],
  ],
  more: () => [
    'Settings come from the environment or a file .env; CRM_URL and CRM_TOKEN are',
    'required, `relate-mirror start --help` lists all. Results go to standard output,',
    'logs and progress to standard error. SIGTERM and SIGINT end every command in',
    'order, within ten seconds.',
    '',
    ...EXIT_CODES,
  ],
};

export const PAGES = {
  start: {
    summary: 'the daemon: keep both sides in step until a signal',
    description:
      'Brings the database up to date, waits until it leads (of any number of daemons on one database one does, and another takes over within ' +
      'seconds), loads the account on the first start, and from then on carries edits both ways: those made with SQL within a moment, those made ' +
      'in the CRM at PULL_CRON. On SIGTERM or SIGINT it ends what is in flight and exits within ten seconds.',
    examples: [
      ['relate-mirror start', 'with the settings of the environment or .env'],
      ['relate-mirror start 2>> mirror.log', 'off a terminal the log is JSON, one line an event'],
    ],
    more: settingsReference,
  },
  migrate: {
    summary: "bring the database up to this version's schema",
    description:
      'Creates or upgrades the schemas crm and sync, in one transaction; any number of processes may ask at once. `start`, `sync` and `resync` ' +
      'do the same first, so this is for those who migrate in a step of its own, as another role, say. A database of a newer version, or one ' +
      'whose migrations were edited, is refused.',
    examples: [['DATABASE_URL=postgres://owner@db/crm relate-mirror migrate', 'as the role that owns the schemas']],
  },
  sync: {
    summary: 'pull and push once, then exit: for cron and tests',
    description:
      'One pull of the changes in the CRM (on an empty mirror the full load, companies and deals included), then the push of local edits until ' +
      'nothing is due. Where a daemon is running it does the work, and this command waits for it.',
    examples: [
      ['relate-mirror sync', 'once'],
      ['*/5 * * * *  relate-mirror sync 2>> sync.log', 'a line of a crontab, instead of a daemon'],
      ['relate-mirror sync | jq .parked', 'off a terminal the result is a line of JSON'],
    ],
    more: () => EXIT_CODES,
  },
  resync: {
    summary: 'compare the whole account with the mirror, contact by contact',
    description:
      'Reads every contact of the account and repairs what differs; rows that nobody can see any more are asked for one by one, and removed only ' +
      'on a 404 for that very id. Readers of the mirror notice nothing. Where a daemon is running it does the work, and this command shows it: ' +
      'with a bar on a terminal, in lines of JSON elsewhere. Interrupted, it goes on where it stood.',
    examples: [
      ['relate-mirror resync', 'all contacts'],
      ['relate-mirror resync --links', "and each contact's links, one call or more a contact"],
      ['relate-mirror resync --no-wait', 'only ask for it; sync.runs tells how it goes'],
    ],
    more: () => EXIT_CODES,
  },
  audit: {
    summary: 'look for edits that no trigger saw, and queue them',
    description:
      'Compares every row with what both sides last agreed on. What differs though nothing is due for it (a restored backup, a disabled trigger, ' +
      "a subscription's session) is queued as an edit, or held where it is more than the brake lets through. A row that is gone though nobody " +
      'deleted it is held, never deleted by itself. Calls the CRM for nothing. The same follows each complete sweep. Where a daemon is running it ' +
      'does the work, and this command waits for it.',
    examples: [
      ['relate-mirror audit', 'after a restore, or after maintenance with triggers disabled'],
      ['relate-mirror audit --json | jq .rows_written', 'how many contacts had such edits'],
    ],
    more: () => EXIT_CODES,
  },
  status: {
    summary: 'are both sides in step, and what needs a person?',
    description:
      'What the view sync.status says, in words: who leads, how old the last pull is, how many edits wait, what part of the call budget is used, ' +
      'and for everything that is parked, held, unknown or in conflict where to look. Calls the CRM for nothing.',
    examples: [
      ['relate-mirror status', 'in words'],
      ['relate-mirror status --json | jq .queue_depth', 'one line of JSON with the columns of sync.status'],
      ['relate-mirror status --watch', 'each second anew, with the run that is under way'],
    ],
    more: () => EXIT_CODES,
  },
  plan: {
    summary: 'what would be done now, in both directions, and what it would cost',
    description:
      'A dry run. Reads what changed in the CRM since the last pull, merges it as the daemon would, and writes nothing: what would be created, updated ' +
      'with values before and after, deleted, linked, how conflicts would be decided, what the brake would hold; then the same for the edits that ' +
      'wait here, what waits for a person already, and how many calls and minutes all of it takes. Works beside a running daemon, whose budget it ' +
      'shares, and before the first start. `--full` compares every contact, as a sweep and the audit behind it do, in about as many calls. Contact ' +
      'data goes to standard output and nowhere else.',
    examples: [
      ['relate-mirror plan', 'before a bulk edit is let go: pause, edit, plan, resume'],
      ['relate-mirror plan --full', 'what a resync would repair'],
      [`relate-mirror plan --json | jq 'select(.state == "held")'`, 'one object a line, the totals last'],
    ],
    more: () => [...EXIT_CODES.slice(0, 2), '  1  the CRM or the database could not be read to the end'],
  },
  doctor: {
    summary: 'can it work here, and what is in the way?',
    description:
      'Looks at the settings, the database (TLS, version, rights, triggers, clocks, notifications, what keeps old rows), the mirror, and the CRM (TLS, ' +
      'clock, token, what the token may see, abilities, call budget). Each line is ok, a warning or a problem, with what to do about it. Reads only, with ' +
      'at most a dozen calls of the CRM, and goes on where the database or the CRM is away. Exit code 1 where there is a problem. `--restored` is the ' +
      'one thing that it changes: as sync.mark_restored(), for a copy that the database itself cannot tell from the original.',
    examples: [
      ['relate-mirror doctor', 'before the first start, and whenever something is odd'],
      [`relate-mirror doctor --json | jq 'select(.state != "ok")'`, 'one object a line: check, state, detail, remedy'],
      ['relate-mirror doctor --restored', 'after a rolled-back disk'],
    ],
    more: () => [...EXIT_CODES.slice(0, 2), '  1  there is a problem'],
  },
  pause: {
    summary: 'stop both directions until `resume`',
    description:
      'Nothing is pulled or pushed any more: what has been begun ends within moments, a long run after its page. Edits go on being captured and wait. ' +
      'The pause is a row in the database: it holds for every daemon, and outlives restarts. Works with or without a daemon.',
    examples: [['relate-mirror pause', 'before maintenance of the CRM, say']],
  },
  resume: {
    summary: 'end a pause',
    description: 'Both directions go on where they stood, an interrupted sweep at its page. Harmless where nothing was paused.',
    examples: [['relate-mirror resume', 'go on']],
  },
  retry: {
    summary: 'have parked or waiting edits tried again now',
    description:
      'Edits that the CRM refused stay parked until their contact is edited again, or somebody says that the reason is gone: that is this. Those that ' +
      'wait for their next try are tried at once; of one whose outcome is unknown the CRM is asked first, as ever. `--all` takes everything but what is ' +
      'decided one by one (several contacts may be the one created; what was rejected), and reads again the records that could not be stored. ' +
      'A number that does not exist, or a held edit, is told and ends with exit code 1; the others are done all the same.',
    examples: [
      ['relate-mirror retry --all', 'after the CRM was mended'],
      ['relate-mirror retry 17 18', 'these two: change_id of sync.parked and sync.queue'],
    ],
  },
  holds: {
    summary: 'what the brake holds, and the decision about it',
    description:
      'Changes that would destroy more than BRAKE_ROWS, BRAKE_SHARE and BRAKE_MAX allow in an hour, in either direction, wait as a plan: one line a ' +
      'contact, with the fields that would be emptied and the links that would go, and no values. `approve ID` lets a plan through, each contact ' +
      'proven again; `reject ID` undoes it. What has nothing destructive left leaves its plan by itself. Works with or without a daemon.',
    examples: [
      ['relate-mirror holds', 'what is held, with the first lines of each plan'],
      ['relate-mirror holds --json | jq .counts', 'one JSON object a line'],
      ['relate-mirror holds approve 3', 'let it through'],
      ['relate-mirror holds reject 3', 'undo it'],
    ],
    more: () => EXIT_CODES,
  },
  conflicts: {
    summary: 'conflicts that a person has to decide',
    description:
      'Fields under the policy `manual` that were edited on both sides. `resolve ID CHOICE` decides one: crm or mirror for the value of that side, ' +
      'or a value of your own as JSON. The rest of the contact is not held up meanwhile. Works with or without a daemon.',
    examples: [
      ['relate-mirror conflicts', 'the values of both sides, and the last one that both had'],
      ['relate-mirror conflicts resolve 5 crm', "the CRM's value"],
      [`relate-mirror conflicts resolve 5 '"Bern"'`, 'another value; a text is written with its quotes'],
    ],
    more: () => EXIT_CODES,
  },
  search: {
    summary: "look for contacts with the CRM's own search",
    description:
      "Asks the CRM itself, not the mirror: for what has just been created there, or to see what the token's user may see. At most 50 matches, by id.",
    examples: [
      ['relate-mirror search lovelace', 'by any part of a name, e-mail or phone'],
      ['relate-mirror search --json ada@example.com', 'one JSON object a line, with all fields'],
    ],
  },
  grants: {
    summary: 'the SQL that makes the roles and gives them their rights',
    description:
      'Prints a script for psql, which may be run again at any time: the roles relate_mirror_reader (the schema bi, and how the sync is going), ' +
      'relate_mirror_reader_masked (the same with personal values masked) and relate_mirror_editor (that, the contacts, and the functions of schema sync), and exactly what each may do. `migrate` does the same by ' +
      'itself where its role may create roles. With --daemon, also what the daemon needs where another role owns the schemas: rows, no schema. ' +
      'Needs no settings and no database.',
    examples: [
      ['relate-mirror grants | psql "$OWNER_URL"', 'roles and rights, on a database that was migrated'],
      ['relate-mirror grants --daemon relate_mirror_daemon | psql "$OWNER_URL"', 'and a login for a daemon that owns nothing'],
      [`psql -c 'grant relate_mirror_editor to ann'`, 'Ann may edit contacts'],
    ],
  },
  completion: {
    summary: 'teach a shell to complete commands and options',
    description: 'Prints a script for bash, zsh or fish. It asks this program at each TAB, so it need not be made anew after an upgrade.',
    examples: [
      ['source <(relate-mirror completion bash)', 'bash, for this session; in ~/.bashrc for all'],
      ['source <(relate-mirror completion zsh)', 'zsh; in ~/.zshrc, behind compinit'],
      ['relate-mirror completion fish | source', 'fish; in ~/.config/fish/config.fish for good'],
    ],
  },
  sandbox: {
    summary: 'a sandbox CRM with invented contacts, at CRM_URL',
    description:
      'Serves what the CRM serves, from memory: the same calls, answers, limits and refusals, with people that are always the same. It listens on ' +
      'the port of CRM_URL and accepts CRM_TOKEN, so that a daemon with the same settings works with it. For trying things out, and for tests: ' +
      'what is written to it is gone when it ends.',
    examples: [
      ['CRM_URL=http://localhost:3900/api CRM_TOKEN=try-me relate-mirror sandbox', 'until Ctrl-C'],
      ['relate-mirror sandbox --contacts 10000 --rate 90', 'a larger account, with a limit of 90 calls a minute'],
    ],
  },
  demo: {
    summary: 'the main job on screen, with nothing but this package',
    description:
      'Starts an embedded Postgres, a sandbox CRM with some hundred contacts and the very daemon that `start` runs; walks through the main job in ' +
      'both directions, with each step checked; then stays up, with things to try. Needs no account, no server, no Docker and no root. ' +
      'Whatever it made is gone when it ends.',
    examples: [
      ['relate-mirror demo', 'until Ctrl-C'],
      ['relate-mirror demo --exit', 'end after the walk-through: exit code 0 only if every step was seen'],
    ],
  },
} as const satisfies { readonly [command: string]: Page };

/** What follows the options of a page. */
export const after = ({ examples, more }: Page): string => {
  const lines = examples.flatMap(([command, does], at) => [...(at === 0 ? [] : ['']), `  # ${does}`, `  ${command}`]);
  const rest = more?.() ?? [];
  return ['', 'Examples:', ...lines, ...(rest.length === 0 ? [] : ['', ...rest])].join('\n');
};
