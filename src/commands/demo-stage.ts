/** What the demo's audience sees. */
import type { Clock } from '../ports/ambient.ts';
import type { Io } from './io.ts';

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
  invite(databaseUrl: string, crmUrl: string, token: string): void;
}

const paint = (io: Io, code: number, text: string): string => (io.outIsTerminal ? `\u001b[${code}m${text}\u001b[0m` : text);

const WIDTH = 80;

/** Words of a text in lines that leave room for an indent. */
const wrap = (text: string, indent: number): readonly string[] => {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > WIDTH - indent) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
};

export const createStage = (io: Io, clock: Clock): Stage => {
  const [bold, dim, green, red, cyan] = [1, 2, 32, 31, 36].map((code) => (text: string) => paint(io, code, text)) as [
    Paint,
    Paint,
    Paint,
    Paint,
    Paint,
  ];
  const indented = (mark: string, text: string, style: Paint = (line) => line): void => {
    for (const [at, line] of wrap(text, 8).entries()) io.out(`     ${at === 0 ? mark : ' '} ${style(line)}`);
  };
  const tell = ({ did, seen, ms }: Seen): void => {
    for (const { where, what } of did) {
      for (const [at, line] of what.split('\n').entries()) {
        const mark = at > 0 ? '    ' : where === 'psql' ? cyan('psql') : cyan('CRM ');
        if (where === 'psql') io.out(`     ${mark}  ${dim(line)}`);
        else for (const [part, words] of wrap(line, 12).entries()) io.out(`     ${part === 0 ? mark : '    '}  ${dim(words)}`);
      }
    }
    indented(green('✓'), seen, (line) => line.replace('{ms}', bold(`${Math.round(ms ?? 0)}\u00a0ms`)));
  };
  return {
    title: (text) => {
      io.out('');
      io.out(`  ${bold(text)}`);
      io.out('');
    },
    prepare: async (what, work) => {
      const startedMs = clock.monotonicMs();
      const result = await work();
      io.out(`  ${green('✓')} ${what} ${dim(`${Math.round(clock.monotonicMs() - startedMs)} ms`)}`);
      return result;
    },
    play: async (steps, world) => {
      let failed = 0;
      for (const [index, { title, play }] of steps.entries()) {
        if (io.signal.aborted) return failed + steps.length - index;
        io.out('');
        io.out(`  ${bold(`${index + 1}. ${title}`)}`);
        try {
          tell(await play(world));
        } catch (error) {
          failed += 1;
          if (!(error instanceof StepFailed)) throw error;
          indented(red('✗'), error.message);
        }
      }
      io.out('');
      io.out(
        failed === 0
          ? `  ${green('✓')} ${bold(`all ${steps.length} steps were seen to happen`)}`
          : `  ${red('✗')} ${bold(`${failed} of ${steps.length} steps failed`)}`,
      );
      io.out('');
      return failed;
    },
    invite: (databaseUrl, crmUrl, token) => {
      const lines = [
        bold('It keeps running. Try it, from another terminal:'),
        '',
        `psql "${databaseUrl}"`,
        '',
        dim('-- in the CRM a moment later'),
        "update crm.contacts set city = 'Basel' where id = 1;",
        dim('-- what became of the edit'),
        'select * from sync.change_log order by id desc limit 1;',
        dim('-- are both sides in step?'),
        'select * from sync.status;',
        '',
        bold('And the CRM, as its API shows it:'),
        '',
        `curl -H "Authorization: Bearer ${token}" -H "Accept: application/json" \\`,
        `  "${crmUrl}/contacts?per_page=1&order=updated_at|desc"`,
        '',
        dim('Ctrl-C ends everything.'),
      ];
      for (const line of lines) io.out(`  ${line}`);
    },
  };
};

type Paint = (text: string) => string;
