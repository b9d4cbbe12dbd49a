/** A schedule from a seed: the same seed, the same schedule. */
import type { CallName } from '../../src/sandbox/crm/call-log.ts';
import type { FaultKind } from '../../src/sandbox/crm/faults.ts';
import { createDice, type Dice } from './dice.ts';
import { complicate } from './complicate.ts';
import {
  ROUNDS,
  type Action,
  type Edit,
  type EditField,
  type Event,
  type Fault,
  type Local,
  type Remote,
  type Rounds,
  type Schedule,
  type Twin,
} from './schedule.ts';

const FIELDS: readonly EditField[] = ['first_name', 'email', 'job_title', 'city', 'street', 'cf_note', 'cf_day'];
const WRITES: readonly CallName[] = ['create', 'update', 'delete', 'attach', 'detach', 'sync', 'restore'];
const READS: readonly CallName[] = ['list', 'retrieve', 'search', 'listTrashed', 'listActivities'];
/** `422` and `403-record` park an edit for a person: that is a schedule of its own kind, told by its share. */
const FAULTS: readonly FaultKind[] = [
  'reset-before',
  'reset-after',
  '500-before',
  '500-after',
  '503-before',
  '429',
  'hang-before',
  'hang-after',
  'truncated',
  'html-200',
  '401',
  '404-html',
  'redirect',
  '403-revoked',
];
const REFUSALS: readonly FaultKind[] = ['422', '403-record'];

interface Maker {
  readonly dice: Dice;
  readonly fields: readonly EditField[];
  n: number;
}

const edit = (maker: Maker): Edit => {
  const { dice } = maker;
  const n = (maker.n += 1);
  const kind = dice.below(10);
  if (kind < 6) return { edit: dice.chance(0.85) ? 'set' : 'clear', field: dice.pick(maker.fields), n };
  if (kind < 8) return { edit: dice.pick(['addPhone', 'addPhone', 'removePhone', 'retypePhone'] as const), n };
  return {
    edit: dice.chance(0.6) ? 'link' : 'unlink',
    kind: dice.pick(['companies', 'deals', 'activities'] as const),
    id: 1 + dice.below(3),
  };
};

const edits = (maker: Maker, most: number): readonly Edit[] => Array.from({ length: 1 + maker.dice.below(most) }, () => edit(maker));

const local = (maker: Maker): Local => {
  const { dice } = maker;
  const kind = dice.below(10);
  if (kind < 2) return { side: 'local', act: 'insert', n: (maker.n += 1), edits: edits(maker, 3) };
  if (kind < 9) return { side: 'local', act: 'edit', who: dice.below(12), edits: edits(maker, 3) };
  return { side: 'local', act: 'delete', who: dice.below(12) };
};

const remote = (maker: Maker): Remote => {
  const { dice } = maker;
  const kind = dice.below(20);
  if (kind < 3) return { side: 'remote', act: 'create', n: (maker.n += 1), edits: edits(maker, 3) };
  if (kind < 14) return { side: 'remote', act: 'edit', who: dice.below(12), edits: edits(maker, 3) };
  return {
    side: 'remote',
    act: dice.pick(['delete', 'delete', 'restore', 'purge', 'hide', 'show', 'show', 'lock'] as const),
    who: dice.below(12),
  };
};

const fault = ({ dice }: Maker): Fault => ({
  side: 'fault',
  call: dice.chance(0.6) ? dice.pick(WRITES) : dice.chance(0.8) ? dice.pick(READS) : 'any',
  kind: dice.chance(0.08) ? dice.pick(REFUSALS) : dice.pick(FAULTS),
  times: dice.chance(0.8) ? 1 : 2,
});

const action = (maker: Maker): Action => {
  const kind = maker.dice.below(10);
  return kind < 5 ? local(maker) : kind < 9 ? remote(maker) : fault(maker);
};

const rounds = (maker: Maker): Rounds => {
  const { dice } = maker;
  const kinds = ROUNDS.filter((kind) => dice.chance(kind === 'push' ? 0.6 : kind === 'pull' ? 0.5 : 0.2));
  const length = dice.chance(0.5) ? 0 : 1 + dice.below(4);
  return {
    side: 'sync',
    rounds: kinds.length === 0 ? ['sync'] : kinds,
    order: dice.below(1 << 30),
    during: Array.from({ length }, () => ({ at: 1 + dice.below(80), action: action(maker) })),
    crashAt: dice.chance(0.15) ? 1 + dice.below(90) : null,
    refuseAt: dice.chance(0.07) ? 1 + dice.below(90) : null,
  };
};

const event = (maker: Maker): Event => {
  const kind = maker.dice.below(20);
  if (kind < 12) return action(maker);
  if (kind < 18) return rounds(maker);
  return { side: 'time', ms: maker.dice.pick([1, 900, 5000, 60_000, 200_000]) };
};

const twin = (maker: Maker): Twin => ({ side: 'twin', n: (maker.n += 1), here: edits(maker, 4), there: edits(maker, 4) });

/** Below this, the plain lives that earlier findings were told by. */
const PLAIN_SEEDS_BELOW = 1_000_000;

export const makeSchedule = (seed: number): Schedule => (seed < PLAIN_SEEDS_BELOW ? plainSchedule(seed) : complicate(plainSchedule(seed)));

const plainSchedule = (seed: number): Schedule => {
  const dice = createDice(seed);
  const hasTwins = dice.chance(0.15);
  const maker: Maker = { dice, fields: hasTwins ? FIELDS.filter((field) => field !== 'email') : FIELDS, n: 0 };
  const twins = Array.from({ length: hasTwins ? 1 + dice.below(2) : 0 }, () => twin(maker));
  return {
    seed,
    mode: dice.chance(0.7) ? 'upstream' : 'documented',
    policy: dice.pick(['newest', 'newest', 'crm', 'mirror'] as const),
    skewMs: dice.pick([0, 0, 400, -25_000, 25_000]),
    perPage: dice.pick([2, 3, 100]),
    freshMs: dice.pick([0, 0, 2000]),
    events: [...twins, ...Array.from({ length: 4 + dice.below(16) }, () => event(maker))],
  };
};
