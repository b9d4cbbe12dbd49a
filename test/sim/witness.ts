/** Watches what must never happen at any moment, and remembers what decides later whether an edit was lost or could not be seen. */
import type { SandboxAccount } from '../../src/sandbox/crm/account.ts';
import type { History } from './history.ts';

export class Witness {
  readonly violations: string[] = [];
  /** Numbers of remote edits that a write of ours replaced before anybody could have read them: the CRM has no conditional write. */
  readonly unseeable = new Set<number>();
  readonly #history: History;
  readonly #account: SandboxAccount;
  #looked = 0;
  /** History's number at the beginning of the newest changes pull that went through, of each contact's newest single read, … */
  #pulledAt = 0;
  #pulling = 0;
  readonly #readAt = new Map<number, number>();
  /** … and of what was fresh when the contact was claimed. */
  readonly #freshAtClaim = new Map<string, number>();

  constructor(history: History, account: SandboxAccount) {
    this.#history = history;
    this.#account = account;
  }

  now(): number {
    this.#history.observe('sync');
    return this.#history.seq - 1;
  }

  changesListed(page: number, beganAt: number): void {
    if (page === 1) this.#pulling = beganAt;
    this.#pulledAt = this.#pulling;
  }

  retrieved(crmId: number, beganAt: number): void {
    this.#readAt.set(crmId, beganAt);
  }

  /** A statement of the sync is about to run. */
  statement(name: string, parameters: readonly unknown[]): void {
    const { tagOfRow } = this.#history;
    if (name === 'claim') for (const id of parameters[0] as readonly number[]) this.#freshAtClaim.set(tagOfRow.get(id) ?? '', this.#pulledAt);
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
      if (change === undefined || change.side !== 'crm' || change.by !== 'sync') continue;
      if (change.field === 'life' && change.value === 'trashed') this.#mayTrash(change.tag);
      if (change.field !== 'life') this.#markUnseeable(change.tag, change.field, change.seq);
    }
  }

  #mayRemove(tag: string): void {
    const isGone = this.#history.changes.some(({ side, field, value, tag: of }) => side === 'crm' && of === tag && field === 'life' && value !== 'alive');
    if (!isGone) this.violations.push(`${tag}: its row is removed though the CRM never trashed or purged it`);
  }

  #mayTrash(tag: string): void {
    const isDeleted = this.#history.changes.some(({ side, by, field, value, tag: of }) => side === 'row' && by === 'person' && of === tag && field === 'life' && value === null);
    if (!isDeleted) this.violations.push(`${tag}: deleted in the CRM though nobody deleted its row`);
  }

  /** The newest remote edit of the field that our write has just replaced: had it been there when we last looked? */
  #markUnseeable(tag: string, field: string, seq: number): void {
    const { changes, tagOfContact } = this.#history;
    const replaced = changes.findLast((change) => change.side === 'crm' && change.tag === tag && change.field === field && change.seq < seq);
    if (replaced === undefined || replaced.by !== 'person') return;
    const ids = [...tagOfContact].filter(([, of]) => of === tag).map(([id]) => id);
    const readAt = Math.max(this.#freshAtClaim.get(tag) ?? 0, ...ids.map((id) => this.#readAt.get(id) ?? 0));
    if (replaced.seq > readAt) this.unseeable.add(replaced.seq);
  }

  /** Ids of the CRM's contacts, live and trashed, that carry a tag. */
  contactsOf(tag: string): readonly number[] {
    return [...this.#account.contacts(), ...this.#account.trashed()].filter(({ last_name: name }) => name === tag).map(({ id }) => id);
  }
}
