/** Values that occur nowhere but where the test puts them: wherever one of them comes out, something leaks. */
import { randomBytes } from 'node:crypto';

const unique = randomBytes(4).toString('hex');
const digits = String(Number.parseInt(unique, 16)).padStart(10, '0');

/** Of people. */
export const PERSONAL = {
  first_name: `Markfirst${unique}`,
  last_name: `Marklast${unique}`,
  email: `markmail${unique}@private.example`,
  phone: `+41${digits}`,
  street: `Markstreet ${unique}`,
  job_title: `Markjob${unique}`,
  cf_note: `Markcustom${unique}`,
  company: `Markcompany${unique} Inc`,
  said: `Marksaid${unique}`,
} as const;

/** Of the operator. */
export const SECRETS = {
  crmToken: `Marktoken${unique}`,
  adminToken: `Markadmin${unique}`,
  databasePassword: `Markpassword${unique}`,
  settings: `Marksetting${unique}`,
} as const;

export interface Found {
  readonly where: string;
  readonly mark: string;
  readonly around: string;
}

/** Every mark in the text, with what stands around it; upper and lower case, escaped or encoded. */
export const marksIn = (
  where: string,
  text: string,
  marks: readonly string[] = [...Object.values(PERSONAL), ...Object.values(SECRETS)],
): readonly Found[] => {
  const low = text.toLowerCase();
  return marks.flatMap((mark) =>
    [mark, encodeURIComponent(mark), Buffer.from(mark).toString('base64').replace(/=+$/, '')].flatMap((form) => {
      const at = low.indexOf(form.toLowerCase());
      return at === -1 ? [] : [{ where, mark, around: text.slice(Math.max(0, at - 120), at + 160) }];
    }),
  );
};
