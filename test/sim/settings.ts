/** Which lives are lived: SIM_SEED one of them again, SIM_RUNS or SIM_PG_RUNS so many, from SIM_FROM or from a seed of this moment. */

export interface Budget {
  readonly seed: number | null;
  readonly from: number;
  readonly count: number;
}

const numberFrom = (name: string): number | null => {
  const text = process.env[name];
  return text === undefined || text === '' ? null : Number(text);
};

/** @param isMeant whether SIM_SEED is a word to this test */
export const budget = (runsName: string, runsDefault: number, isMeant: boolean): Budget => {
  const seed = isMeant ? numberFrom('SIM_SEED') : null;
  const from = seed ?? numberFrom('SIM_FROM') ?? Math.floor(Date.now() / 1000);
  return { seed, from, count: seed === null ? (numberFrom(runsName) ?? runsDefault) : 1 };
};
