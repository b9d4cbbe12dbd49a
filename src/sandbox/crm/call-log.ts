/** Which call a request was: the nine documented ones, and what lies beyond. */
export const CALL_NAMES = [
  'list',
  'retrieve',
  'create',
  'update',
  'delete',
  'search',
  'attach',
  'detach',
  'sync',
  'listTrashed',
  'searchTrashed',
  'retrieveTrashed',
  'restore',
  'purge',
  'emptyTrash',
  'listCompanies',
  'listDeals',
  'listActivities',
  'associations',
  'customFields',
  'editCustomFields',
  'rules',
  'unknown',
] as const;
export type CallName = (typeof CALL_NAMES)[number];

/** One request that arrived, whatever became of it. */
export interface CallRecord {
  readonly call: CallName;
  readonly method: string;
  /** With the query string. */
  readonly path: string;
  /** The contact in the path. */
  readonly id: number | null;
  /** Parsed JSON; undefined where there was none. */
  readonly body: unknown;
  /** As answered; null where no complete answer was given. */
  readonly status: number | null;
  /** The scripted fault that hit it. */
  readonly fault: string | null;
  /** On the account's clock. */
  readonly at: Date;
}

/** What is kept; older calls are forgotten, the counts are not. */
const CALLS_MAX = 50_000;

/** The calls that arrived, oldest first, and who wants to hear of the next one. */
export class CallLog {
  #calls: CallRecord[] = [];
  readonly #counts = new Map<CallName, number>();
  readonly #listeners = new Set<(call: CallRecord) => void>();

  get calls(): readonly CallRecord[] {
    return this.#calls;
  }

  /** How often a call arrived since the start or the last `clear`; all of them without a name. */
  count(...names: readonly CallName[]): number {
    const counted = names.length === 0 ? [...this.#counts.keys()] : names;
    return counted.reduce((sum, name) => sum + (this.#counts.get(name) ?? 0), 0);
  }

  add(call: CallRecord): void {
    if (this.#calls.length >= CALLS_MAX) this.#calls = this.#calls.slice(CALLS_MAX / 10);
    this.#calls.push(call);
    this.#counts.set(call.call, (this.#counts.get(call.call) ?? 0) + 1);
    for (const listener of this.#listeners) listener(call);
  }

  clear(): void {
    this.#calls = [];
    this.#counts.clear();
  }

  /** Called once a request is decided, just before its answer goes out. Returns how to stop listening. */
  onCall(listener: (call: CallRecord) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }
}
