/**
 * A database in memory with what the mirror's promises rest on: row locks that last until the transaction ends, writes that nobody sees
 * before the commit, savepoints, READ COMMITTED reads. A step runs without an await inside, so it is one statement.
 */
import { setImmediate as turn } from 'node:timers/promises';

export class Table<K, V> {
  readonly committed = new Map<K, V>();
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}

/** Thrown where a lock is held by another open transaction. */
export class Blocked extends Error {
  readonly owner: Transaction;

  constructor(owner: Transaction) {
    super('blocked by another transaction');
    this.owner = owner;
  }
}

/** A constraint, foreign key or trigger said no. */
export class RefusedByRule extends Error {
  readonly sqlState: string;

  constructor(sqlState: string, message: string) {
    super(message);
    this.sqlState = sqlState;
  }
}

/** Values are replaced, never changed in place; `undefined` is a deleted row. */
type Changes = Map<Table<unknown, unknown>, Map<unknown, unknown>>;

export class Transaction {
  readonly id: number;
  readonly ended: Promise<void>;
  private readonly end: () => void;
  private readonly locks: Map<string, Transaction>;
  private readonly onCommit: () => void;
  private changes: Changes = new Map();

  constructor(id: number, locks: Map<string, Transaction>, onCommit: () => void) {
    this.id = id;
    this.locks = locks;
    this.onCommit = onCommit;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.ended = promise;
    this.end = resolve;
  }

  get<K, V>(table: Table<K, V>, key: K): V | undefined {
    const changed = this.changes.get(table);
    return changed?.has(key) === true ? (changed.get(key) as V | undefined) : table.committed.get(key);
  }

  all<K, V>(table: Table<K, V>): readonly V[] {
    const changed = this.changes.get(table);
    const kept = [...table.committed].filter(([key]) => changed?.has(key) !== true).map(([, value]) => value);
    const ours = [...(changed?.values() ?? [])].filter((value) => value !== undefined);
    return [...kept, ...(ours as V[])];
  }

  put<K, V>(table: Table<K, V>, key: K, value: V | undefined): void {
    this.lock(`${table.name} ${String(key)}`);
    const anyTable = table as Table<unknown, unknown>;
    const changed = this.changes.get(anyTable) ?? new Map<unknown, unknown>();
    changed.set(key, value);
    this.changes.set(anyTable, changed);
  }

  /** Whether the lock is ours now. */
  tryLock(name: string): boolean {
    const owner = this.locks.get(name);
    if (owner !== undefined && owner !== this) return false;
    this.locks.set(name, this);
    return true;
  }

  lock(name: string): void {
    if (!this.tryLock(name)) throw new Blocked(this.locks.get(name) as Transaction);
  }

  /** What a rollback to a savepoint brings back; locks stay, as they may in Postgres for longer than needed. */
  mark(): () => void {
    const before: Changes = new Map([...this.changes].map(([table, rows]) => [table, new Map(rows)]));
    return () => {
      this.changes = before;
    };
  }

  commit(): void {
    let wrote = false;
    for (const [table, rows] of this.changes) {
      for (const [key, value] of rows) {
        wrote = true;
        if (value === undefined) table.committed.delete(key);
        else table.committed.set(key, value);
      }
    }
    if (wrote) this.onCommit();
    this.release();
  }

  rollback(): void {
    this.release();
  }

  private release(): void {
    this.changes = new Map();
    for (const [name, owner] of this.locks) if (owner === this) this.locks.delete(name);
    this.end();
  }
}

export class FakeDatabase {
  /** Raised by every commit that wrote anything: two equal readings prove that nothing was written between them. */
  version = 0;
  private begun = 0;
  private readonly locks = new Map<string, Transaction>();

  begin(): Transaction {
    this.begun += 1;
    return new Transaction(this.begun, this.locks, () => {
      this.version += 1;
    });
  }
}

/** A lock is waited for until its owner ends, but never for longer than one turn of the event loop. */
export const waitFor = (owner: Transaction): Promise<unknown> => Promise.race([owner.ended, turn()]);
