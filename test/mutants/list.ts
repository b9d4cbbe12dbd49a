/** Every guard that is switched off to see whether a test notices. */
import { CAPTURE_MUTANTS } from './capture.ts';
import { FOUND } from './found.ts';
import type { Mutant } from './mutant.ts';
import { OUTSIDE_MUTANTS } from './outside.ts';
import { PAGE_MUTANTS } from './page.ts';
import { PERSON_MUTANTS } from './person.ts';
import { PROTOCOL } from './protocol.ts';
import { PUSH_MUTANTS } from './push.ts';

export const MUTANTS: readonly Mutant[] = [
  ...PROTOCOL,
  ...CAPTURE_MUTANTS,
  ...PAGE_MUTANTS,
  ...PUSH_MUTANTS,
  ...PERSON_MUTANTS,
  ...OUTSIDE_MUTANTS,
  ...FOUND,
];
