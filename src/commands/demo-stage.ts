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
  /** What was checked. */
  readonly seen: string;
  /** From the edit's commit to its arrival on the other side, milliseconds; null where that is no question. */
  readonly ms: number | null;
  /** What the user did, as it could be typed. */
  readonly did?: string;
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

export const createStage = (io: Io, clock: Clock): Stage => {
  const [bold, dim, green, red] = [1, 2, 32, 31].map((code) => (text: string) => paint(io, code, text)) as [Paint, Paint, Paint, Paint];
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
        io.out('');
        io.out(`  ${bold(`${index + 1}. ${title}`)}`);
        try {
          const { seen, ms, did } = await play(world);
          for (const line of did?.split('\n') ?? []) io.out(`     ${dim(line)}`);
          io.out(`     ${green('✓')} ${seen}${ms === null ? '' : ` ${bold(`${Math.round(ms)} ms`)}`}`);
        } catch (error) {
          failed += 1;
          if (!(error instanceof StepFailed)) throw error;
          io.out(`     ${red('✗')} ${error.message}`);
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
        dim("update crm.contacts set city = 'Basel' where id = 1;   -- in the CRM a moment later"),
        dim('select * from sync.status;                             -- are we in step?'),
        dim('select * from sync.change_log order by id desc limit 5; -- what became of the edit'),
        '',
        'and the CRM, as its API shows it:',
        '',
        `curl -H "Authorization: Bearer ${token}" -H "Accept: application/json" "${crmUrl}/contacts?per_page=1&order=updated_at|desc"`,
        '',
        dim('Ctrl-C ends everything.'),
      ];
      for (const line of lines) io.out(`  ${line}`);
    },
  };
};

type Paint = (text: string) => string;
