/** Whoever runs it: pauses and resumes the push, decides holds and conflicts. */
import type { Operator } from './schedule.ts';
import type { World } from './world.ts';

export const operate = async (world: World, action: Operator): Promise<void> => {
  const { database, account, witness } = world;
  if (action.act === 'resolve') return await database.resolve(action.who, action.choice);
  if (action.act === 'approve' || action.act === 'reject') return await database.decide(action.who, action.act);
  await database.setPaused(action.act === 'pause');
  if (action.act === 'resume') {
    const sent = world.pausedAt === null ? [] : account.calls.calls.slice(world.pausedAt).filter(({ method }) => method !== 'GET');
    for (const { call } of sent) witness.trespasses.push(`${call} was sent while the push was paused`);
    world.pausedAt = null;
  }
};
