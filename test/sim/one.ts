import { kindOf } from './promises.ts';
import { live } from './life.ts';
import { makeSchedule } from './schedule.ts';
import { shrink } from './shrink.ts';
const seed = Number(process.argv[2]);
const key = process.argv[3];
const first = (await live(makeSchedule(seed))).broken;
console.log(first.map(x=>x.split('\n')[0]));
const kinds = new Set((key ? first.filter((x) => x.includes(key)) : first.slice(0, 1)).map(kindOf));
const hit = (b: readonly string[]) => b.some((x) => kinds.has(kindOf(x)));
const small = await shrink(makeSchedule(seed), async (s) => hit((await live(s)).broken));
if (process.argv[5]) {
  const { Witness } = await import('./witness.ts');
  const old = Witness.prototype.statement;
  Witness.prototype.statement = function (name: string, ps: readonly unknown[]) {
    if (!['peek','now','customFields','fieldPolicies','account','marks','countMarks','nextDueMs','oldestOpenCreate','saveNames','lockPairing','brakeLoad'].includes(name)) console.log('   .', name, JSON.stringify(ps).slice(0, 330));
    return old.call(this, name, ps);
  };
}
const { broken, world } = await live(small);
const { events, ...head } = small;
console.log(JSON.stringify(head));
for (const e of events) console.log('  ' + JSON.stringify(e));
console.log(broken);
if (process.argv[4]) {
  console.log(world.history.changes.map((c) => `${c.seq} ${c.side} ${c.by} ${c.tag} ${c.field}=${c.value}`).join('\n'));
  console.log(world.account.calls.calls.map((c) => `${c.at.toISOString().slice(14, 23)} ${c.call} ${c.id ?? ''} ${JSON.stringify(c.body)} ${c.status} ${c.fault ?? ''}`).join('\n'));
  console.log([...world.mirror.tables.log.committed.values()].map((r) => JSON.stringify(r)).join('\n'));
  console.log([...world.mirror.tables.conflicts.committed.values()].map((r) => JSON.stringify(r)).join('\n'));
}
