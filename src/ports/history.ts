/** Upkeep of the versions behind `bi.contact_history`. They are written by the database itself; this only makes room for them and prunes. */

export interface HistoryKeeper {
  /** Switched on or off as HISTORY_DAYS says, before anything is synced: the first load's versions are its own. A step that waits for somebody is left for `keepOnce`. */
  begin(signal: AbortSignal): Promise<void>;
  /**
   * The same, and whatever else is due: months ahead, first versions of contacts that were here before, pruning. Bounded work, safe to
   * repeat and to interrupt; what is locked by somebody is left for the next time.
   * @returns false where something was left, or failed; it never rejects
   */
  keepOnce(signal: AbortSignal): Promise<boolean>;
}
