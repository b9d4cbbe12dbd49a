import { live } from './life.ts';
import { makeSchedule } from './schedule.ts';
import { shrink } from './shrink.ts';
const seed = Number(process.argv[2]);
const key = process.argv[3];
const hit = (b: readonly string[]) => (key ? b.some((x) => x.includes(key)) : b.length > 0);
const small = await shrink(makeSchedule(seed), async (s) => hit((await live(s)).broken));
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
