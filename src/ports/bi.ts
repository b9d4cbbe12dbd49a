/** Upkeep of the typed columns of `bi.contacts`. What they are is decided in the database; this only sees to it in time, and tells what changed. */

export interface BiKeeper {
  /**
   * The view brought to what the definitions of the custom fields say, what changed in them told in the log, and once after each complete sweep
   * the values counted that no column can show. Bounded work, safe to repeat and to interrupt; where nothing changed, nothing is written.
   * @returns false where somebody who reads the view in a long transaction was in the way, or something failed; it never rejects
   */
  keepOnce(signal: AbortSignal): Promise<boolean>;
}
