/** Watches what must never happen at any moment, and remembers what decides later whether an edit was lost or could not be seen. */
import type { Change, History } from './history.ts';

export class Witness {
  /** What nobody in particular suffers from, and must not be all the same. */
  readonly trespasses: string[] = [];
  readonly violations: { readonly tag: string; readonly what: string }[] = [];
  /** Numbers of remote edits that a write of ours replaced before anybody could have read them: the CRM has no conditional write. */
  readonly unseeable = new Set<number>();
  readonly #history: History;
  #looked = 0;
  /** When pulls of changes began, by the clock and by history's number, … */
  readonly #pulls: { readonly atMs: number; readonly seq: number }[] = [];
  /** … history's number at the beginning of the newest that went through, … */
  #pulledAt = 0;
  /** … as it was when the contact was claimed. */
  readonly #freshAtClaim = new Map<string, number>();

  constructor(history: History) {
    this.#history = history;
  }

  /** The first page of a pull of changes is asked for. */
  pullBegins(atMs: number): void {
    this.#history.observe('sync');
    this.#pulls.push({ atMs, seq: this.#history.seq - 1 });
  }

  /** A pull that began at that time or just after it has stored all it read. */
  pullEnded(beganMs: number): void {
    this.#pulledAt = this.#pulls.find(({ atMs }) => atMs >= beganMs)?.seq ?? this.#pulledAt;
  }

  /** A statement of the sync is about to run. */
  statement(name: string, parameters: readonly unknown[]): void {
    const { tagOfRow } = this.#history;
    if (name === 'claim')
      for (const id of parameters[0] as readonly number[]) this.#freshAtClaim.set(tagOfRow.get(id) ?? '', this.#pulledAt);
    if (name === 'remove') for (const id of parameters[0] as readonly number[]) this.#mayRemove(tagOfRow.get(id) ?? '');
  }

  /** The account has processed a call: whatever is new was done by the sync. */
  callProcessed(): void {
    this.#history.observe('sync');
    this.look();
  }

  /** Judges what was observed since the last look. */
  look(): void {
    const { changes } = this.#history;
    for (; this.#looked < changes.length; this.#looked += 1) {
      const change = changes[this.#looked];
      if (change === undefined || change.by !== 'sync') continue;
      if (change.side === 'row') this.#mayStore(change);
      else if (change.field !== 'life') this.#markUnseeable(change.tag, change.seq, (edit) => edit.field === change.field);
      else if (change.value === 'trashed') {
        this.#mayTrash(change.tag);
        this.#markUnseeable(change.tag, change.seq, () => true);
      }
    }
  }

  /** A row that holds what our own write put there must not go back to what was there before: such a record is older than the write. */
  #mayStore({ tag, field, value, seq }: Change): void {
    if (field === 'life' || field === 'pair') return;
    const before = this.#history.changes.filter((change) => change.tag === tag && change.field === field && change.seq < seq);
    const there = before.filter(({ side }) => side === 'crm');
    const [ours, here] = [there.at(-1), before.findLast(({ side }) => side === 'row')];
    if (ours?.by !== 'sync' || ours.value === value || here?.value !== ours.value) return;
    const older = there.slice(0, -1).map((change) => change.value);
    if (older.includes(value) || (value === null && older.length === 0))
      this.violations.push({ tag, what: `${field} goes back to ${value} in its row` });
  }

  #mayRemove(tag: string): void {
    const isGone = this.#history.changes.some(
      ({ side, field, value, tag: of }) => side === 'crm' && of === tag && field === 'life' && value !== 'alive',
    );
    if (!isGone) this.violations.push({ tag, what: 'its row is removed though the CRM never trashed or purged it' });
  }

  #mayTrash(tag: string): void {
    const isDeleted = this.#history.changes.some(
      ({ side, by, field, value, tag: of }) => side === 'row' && by === 'person' && of === tag && field === 'life' && value === null,
    );
    if (!isDeleted) this.violations.push({ tag, what: 'deleted in the CRM though nobody deleted its row' });
  }

  /** Remote edits that our write has just replaced: had they been there when we last looked? */
  #markUnseeable(tag: string, seq: number, replaces: (edit: Change) => boolean): void {
    const freshAt = this.#freshAtClaim.get(tag) ?? 0;
    for (const edit of this.#history.changes) {
      const isTheirs = edit.side === 'crm' && edit.by === 'person' && edit.tag === tag && edit.seq < seq;
      if (isTheirs && edit.seq > freshAt && replaces(edit)) this.unseeable.add(edit.seq);
    }
  }
}
