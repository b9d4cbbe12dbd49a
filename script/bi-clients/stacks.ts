/** The four stacks: how each is run, and what its language makes of each type of the database. */
import path from 'node:path';
import type { Family } from './cells.ts';

export interface Stack {
  readonly name: string;
  readonly command: readonly string[];
  /** How the language calls what it reads. */
  readonly kinds: { readonly [F in Family]: readonly string[] };
  /** False: numbers come as doubles, 15 digits of them. */
  readonly isExact: boolean;
  /** False: the message says what was refused, and no code does. */
  readonly tellsState: boolean;
}

const at = (file: string): string => path.join(import.meta.dirname, file);
/** Debian's own, which has Debian's modules; the PATH may lead to another. */
const PYTHON = '/usr/bin/python3';
const JDBC_JAR = '/usr/share/java/postgresql.jar';

export const STACKS: readonly Stack[] = [
  {
    name: 'ODBC',
    command: [PYTHON, at('odbc.py')],
    isExact: true,
    tellsState: true,
    kinds: {
      integer: ['int'],
      numeric: ['Decimal'],
      float: ['float'],
      text: ['str'],
      boolean: ['bool'],
      date: ['date'],
      moment: ['datetime'],
      list: ['str'],
      json: ['str'],
    },
  },
  {
    name: 'JDBC',
    command: ['java', '-XX:TieredStopAtLevel=1', '-cp', JDBC_JAR, at('Jdbc.java')],
    isExact: true,
    tellsState: true,
    kinds: {
      integer: ['java.lang.Integer', 'java.lang.Long'],
      numeric: ['java.math.BigDecimal'],
      float: ['java.lang.Double'],
      text: ['java.lang.String'],
      boolean: ['java.lang.Boolean'],
      date: ['java.sql.Date'],
      moment: ['java.sql.Timestamp'],
      list: ['java.sql.Array'],
      json: ['org.postgresql.util.PGobject'],
    },
  },
  {
    name: 'SQLAlchemy',
    command: [PYTHON, at('sql_alchemy.py')],
    isExact: true,
    tellsState: true,
    kinds: {
      integer: ['int'],
      numeric: ['Decimal'],
      float: ['float'],
      text: ['str'],
      boolean: ['bool'],
      date: ['date'],
      moment: ['datetime with zone'],
      list: ['list'],
      json: ['dict', 'list'],
    },
  },
  {
    name: 'R DBI',
    command: ['Rscript', '--vanilla', at('dbi.R')],
    isExact: false,
    tellsState: false,
    kinds: {
      integer: ['integer', 'numeric'],
      numeric: ['numeric'],
      float: ['numeric'],
      text: ['character'],
      boolean: ['logical'],
      date: ['Date'],
      moment: ['POSIXct'],
      list: ['character'],
      json: ['character'],
    },
  },
];
