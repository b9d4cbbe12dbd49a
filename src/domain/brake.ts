/** The brake: how much destruction in an hour is still believable. */

export interface BrakeLimits {
  /** BRAKE_ROWS */
  readonly rows: number;
  /** BRAKE_SHARE: of the mirror's rows, 0 to 1 */
  readonly share: number;
  /** BRAKE_MAX */
  readonly max: number;
}

/**
 * How many further destructive changes may go through now: over both `rows` and `share`, or over `max`, the rest is held.
 * @param lastHour those of the last hour in this direction, single edits and batches alike
 * @param mirrorRows the mirror's size before them
 */
export const brakeAllowance = (lastHour: number, mirrorRows: number, limits: BrakeLimits): number => {
  // 0.29 × 100 is 28.999999999999996 in floating point, and 29 rows are no more than that share.
  const share = Math.floor(limits.share * mirrorRows + 1e-6);
  const ceiling = Math.min(limits.max, Math.max(limits.rows, share));
  return Math.max(0, ceiling - lastHour);
};
