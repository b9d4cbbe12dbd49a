import { live } from './life.ts';
import { makeSchedule } from './schedule.ts';
for (const seed of process.argv.slice(2).map(Number)) {
  const { broken } = await live(makeSchedule(seed));
  if (broken.length) console.log(seed, broken.map(b=>b.split('\n')[0]).join(' | ').slice(0, 300));
}
