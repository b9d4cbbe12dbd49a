/** `grants`: the SQL that makes the roles and gives them their rights. Needs neither settings nor a database: it is for those who run it. */
import { grantsScript } from '../postgres/roles.ts';
import { EXIT, type ExitCode, type Io } from './io.ts';

export interface GrantsOptions {
  /** The daemon's login, where another role migrates. */
  readonly daemon: string | null;
}

export const printGrants = (io: Io, { daemon }: GrantsOptions): ExitCode => {
  io.out(grantsScript(daemon));
  return EXIT.done;
};
