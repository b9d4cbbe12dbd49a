/** Phone numbers in international form: who reads them, and who keeps `sync.phone_forms` in step with the contacts. */

export interface PhoneReader {
  /** Of the rules; by other rules every number is read anew. */
  readonly version: string;
  /** The ISO code of a country, by a name of it. */
  regionOf(countryName: string): string | null;
  /** E.164, or null where the text cannot be a number of any country. `region`: where it is dialled if it does not say. */
  e164(number: string, region: string | null): string | null;
}

export interface PhoneFormsKeeper {
  /** Contacts whose row the daemon has written; cheap, and right to be called from the middle of the work. */
  touched(contactIds: Iterable<number>): void;
  /**
   * What was touched or edited since the last time, and what was locked then; `whole`: every contact, a batch at a time. Bounded work, safe to repeat and
   * to interrupt.
   * @returns false where it failed; it never rejects
   */
  keepOnce(signal: AbortSignal, whole: boolean): Promise<boolean>;
  /** Ends its connection until it is asked again. */
  close(): Promise<void>;
}
