/**
 * Shell completion: short scripts for the shells, and the answers that they ask the program for at each TAB. Needs no settings and no database.
 *
 * The scripts are our own: those of the packages that make such need bash-completion, and evaluate the line that is being typed, command
 * substitutions included.
 */
import type { Argument, Command, Option } from 'commander';
import { EXIT, type ExitCode, type Io } from './io.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** Each asks with the words behind the program's name, up to the one being typed, and reads `word<TAB>description` lines. */
const SCRIPTS: { readonly [S in Shell]: readonly string[] } = {
  bash: [
    '_relate_mirror() {',
    '  local line',
    '  COMPREPLY=()',
    '  while IFS= read -r line; do',
    `    COMPREPLY+=("\${line%%$'\\t'*}")`,
    '  done < <(relate-mirror complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2> /dev/null)',
    '}',
    'complete -F _relate_mirror relate-mirror',
  ],
  zsh: [
    '#compdef relate-mirror',
    '_relate_mirror() {',
    '  local line',
    '  local -a found',
    '  while IFS= read -r line; do',
    `    found+=("\${line%%$'\\t'*}:\${line#*$'\\t'}")`,
    '  done < <(relate-mirror complete -- "${(@)words[2,CURRENT]}" 2> /dev/null)',
    "  _describe 'relate-mirror' found",
    '}',
    'compdef _relate_mirror relate-mirror',
  ],
  fish: ['complete -c relate-mirror -f -a \'(relate-mirror complete -- (commandline -opc)[2..] "$(commandline -ct)" 2> /dev/null)\''],
};

export const printCompletion = (io: Io, shell: Shell): ExitCode => {
  for (const line of SCRIPTS[shell]) io.out(line);
  return EXIT.done;
};

/** What the scripts call. */
export const complete = (io: Io, program: Command, words: readonly string[]): ExitCode => {
  for (const { value, description } of completionsOf(program, words)) io.out(`${value}\t${description}`);
  return EXIT.done;
};

interface Completion {
  readonly value: string;
  readonly description: string;
}

/** What is complete in an argument that is no choice by itself. */
const VALUES: { readonly [argument: string]: readonly string[] } = { choice: ['crm', 'mirror'] };

/** What may stand for the last of these words, which is being typed. */
const completionsOf = (program: Command, words: readonly string[]): readonly Completion[] => {
  const typed = words.at(-1) ?? '';
  let command = program;
  let given = 0;
  let expectsValue: Option | undefined;
  for (const word of words.slice(0, -1)) {
    const option = optionsOf(command).find(({ long, short }) => word === long || word === short);
    const below = given === 0 ? command.commands.find((candidate) => candidate.name() === word) : undefined;
    if (expectsValue !== undefined) expectsValue = undefined;
    else if (word.startsWith('-')) expectsValue = option?.required === true ? option : undefined;
    else if (below !== undefined) command = below;
    else given += 1;
  }
  return candidates(command, { typed, given, expectsValue, words }).filter(({ value }) => value.startsWith(typed));
};

interface At {
  readonly typed: string;
  /** Arguments that stand there already. */
  readonly given: number;
  readonly expectsValue: Option | undefined;
  readonly words: readonly string[];
}

const candidates = (command: Command, { typed, given, expectsValue, words }: At): readonly Completion[] => {
  if (expectsValue !== undefined) return toCompletions(expectsValue.argChoices ?? [], expectsValue.description);
  if (typed.startsWith('-')) {
    const options = optionsOf(command).filter(({ long }) => long != null && !words.slice(0, -1).includes(long));
    return options.map(({ long, description }) => ({ value: long ?? '', description }));
  }
  const argument = command.registeredArguments[given] ?? command.registeredArguments.findLast(({ variadic }) => variadic);
  const below = given === 0 ? command.createHelp().visibleCommands(command) : [];
  return [
    ...below.map((each) => ({ value: each.name(), description: each.summary() || each.description() })),
    ...(argument === undefined ? [] : toCompletions(valuesOf(argument), argument.description)),
  ];
};

const optionsOf = (command: Command): readonly Option[] => command.createHelp().visibleOptions(command);
const valuesOf = (argument: Argument): readonly string[] => argument.argChoices ?? VALUES[argument.name()] ?? [];
const toCompletions = (values: readonly string[], description: string): readonly Completion[] =>
  values.map((value) => ({ value, description }));
