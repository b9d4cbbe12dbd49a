/** What the demo's audience sees. */
import type { Clock } from '../ports/ambient.ts';
import type { Io } from './io.ts';
import { wrapText } from './wrap.ts';

export interface Step<World> {
  /** What is done and expected, as a sentence. */
  readonly title: string;
  /** Does it, waits for it, and says what was seen; throws StepFailed if it did not happen. */
  readonly play: (world: World) => Promise<Seen>;
}
export interface Seen {
  /** What was done, and where: as it could be typed into psql, or what a person does in the CRM. */
  readonly did: readonly Deed[];
  /** What was checked; `{ms}` stands for the time from the edit's commit to its arrival on the other side. */
  readonly seen: string;
  /** Milliseconds; null where that is no question. */
  readonly ms: number | null;
}
export interface Deed {
  readonly where: 'psql' | 'crm';
  readonly what: string;
}

export class StepFailed extends Error {
  override readonly name = 'StepFailed';
}

export interface Stage {
  title(text: string): void;
  prepare<T>(what: string, work: () => Promise<T>): Promise<T>;
  /** Plays all steps; answers how many failed. */
  play<World>(steps: readonly Step<World>[], world: World): Promise<number>;
  invite(places: Places): void;
}

/** Where the demo can be visited while it runs. */
export interface Places {
  readonly databaseUrl: string;
  readonly crmUrl: string;
  readonly crmToken: string;
  readonly pageUrl: string;
  readonly adminToken: string;
}

const WIDTH = 80;
interface Paints {
  readonly bold: Paint;
  readonly dim: Paint;
  readonly green: Paint;
  readonly red: Paint;
  readonly cyan: Paint;
}

const paintsFor = ({ outIsTerminal }: Io): Paints => {
  const paint =
    (code: number): Paint =>
    (text) =>
      outIsTerminal ? `\u001b[${code}m${text}\u001b[0m` : text;
  return { bold: paint(1), dim: paint(2), green: paint(32), red: paint(31), cyan: paint(36) };
};

/** One step: what was done, each deed with where, and what was seen to come of it. */
const linesOf = ({ did, seen, ms }: Seen, { bold, dim, cyan, green }: Paints): readonly string[] => {
  const lines: string[] = [];
  for (const { where, what } of did) {
    // Statements are to be copied as they are.
    const parts = where === 'psql' ? what.split('\n') : wrapText(what, WIDTH - 12);
    const name = where === 'psql' ? 'psql' : 'CRM ';
    lines.push(...parts.map((part, at) => `${at === 0 ? cyan(name) : '    '}  ${dim(part)}`));
  }
  const timed = seen.replace('{ms}', `${Math.round(ms ?? 0)}\u00a0ms`);
  const painted = wrapText(timed, WIDTH - 8).map((line) => line.replace(/\d+\u00a0ms/, bold));
  lines.push(...painted.map((line, at) => `${at === 0 ? green('✓') : ' '} ${line}`));
  return lines;
};

export const createStage = (io: Io, clock: Clock): Stage => {
  const paints = paintsFor(io);
  const { bold, dim, green, red } = paints;
  const say = (indent: number, lines: readonly string[]): void => lines.forEach((line) => io.out(`${' '.repeat(indent)}${line}`.trimEnd()));
  return {
    title: (text) => say(2, ['', bold(text), '']),
    prepare: async (what, work) => {
      const startedMs = clock.monotonicMs();
      const result = await work();
      say(2, [`${green('✓')} ${what} ${dim(`${Math.round(clock.monotonicMs() - startedMs)} ms`)}`]);
      return result;
    },
    play: async (steps, world) => {
      let failed = 0;
      for (const [index, { title, play }] of steps.entries()) {
        if (io.signal.aborted) return failed + steps.length - index;
        say(2, ['', bold(`${index + 1}. ${title}`)]);
        try {
          say(5, linesOf(await play(world), paints));
        } catch (error) {
          failed += 1;
          if (!(error instanceof StepFailed)) throw error;
          say(
            5,
            wrapText(error.message, WIDTH - 8).map((line, at) => `${at === 0 ? red('✗') : ' '} ${line}`),
          );
        }
      }
      const verdict =
        failed === 0
          ? `${green('✓')} ${bold(`all ${steps.length} steps were seen to happen`)}`
          : `${red('✗')} ${bold(`${failed} of ${steps.length} steps failed`)}`;
      say(2, ['', verdict, '']);
      return failed;
    },
    invite: ({ databaseUrl, crmUrl, crmToken, pageUrl, adminToken }) =>
      say(2, [
        bold('It keeps running. Watch it in a browser:'),
        '',
        `${pageUrl}/`,
        `${dim('admin token, to see values and to decide:')} ${adminToken}`,
        '',
        bold('Try it, from another terminal:'),
        '',
        `psql "${databaseUrl}"`,
        '',
        dim('-- in the CRM a moment later'),
        "update crm.contacts set city = 'Basel' where id = 1;",
        dim('-- what became of the edit'),
        'select * from sync.change_log order by id desc limit 1;',
        dim('-- are both sides in step?'),
        'select * from sync.status;',
        dim('-- for analysts (docs/bi.md): how fresh the schema bi is, and a row a contact'),
        'select direction, complete, explanation from bi.freshness;',
        'select full_name, phone_e164, country_name, cf_tier from bi.contacts limit 5;',
        '',
        bold('And the CRM, as its API shows it:'),
        '',
        `curl -H "Authorization: Bearer ${crmToken}" -H "Accept: application/json" \\`,
        `  "${crmUrl}/contacts?per_page=1&order=updated_at|desc"`,
        '',
        dim('Ctrl-C ends everything.'),
      ]),
  };
};

type Paint = (text: string) => string;
