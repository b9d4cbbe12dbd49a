import { live } from './life.ts';
import { makeSchedule } from './schedule.ts';
const from = Number(process.argv[2] ?? 1), n = Number(process.argv[3] ?? 50);
const t0 = performance.now();
const kinds = new Map<string, number[]>();
for (let seed = from; seed < from + n; seed++) {
  const { broken } = await live(makeSchedule(seed));
  for (const b of broken) { const k = b.split('\n')[0]!.replace(/[LR]\d+|\d+/g, '#').slice(0, 140); kinds.set(k, [...(kinds.get(k) ?? []), seed]); }
}
for (const [k, s] of [...kinds].sort((a,b)=>b[1].length-a[1].length)) console.log(s.length, k, [...new Set(s)].slice(0, 8).join(' '));
console.log(((performance.now() - t0) / n).toFixed(1), 'ms each');
