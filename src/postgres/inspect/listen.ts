/** Whether a notification that one connection sends is heard on another: what an edit needs to be pushed at once. */
import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { Session } from '../session.ts';

/**
 * Milliseconds from the send to the hearing, or null where it was not heard in time. On a channel of its own: nobody else is woken.
 */
export const notifyRoundTrip = async (
  listener: Session,
  sender: Session,
  { nowMs, timeoutMs }: { readonly nowMs: () => number; readonly timeoutMs: number },
): Promise<number | null> => {
  const channel = `relate_mirror_doctor_${randomBytes(6).toString('hex')}`;
  const heard = Promise.withResolvers<number | null>();
  const onNotify = (message: pg.Notification): void => {
    if (message.channel === channel) heard.resolve(nowMs());
  };
  listener.client.on('notification', onNotify);
  const timer = setTimeout(() => heard.resolve(null), timeoutMs);
  try {
    await listener.query(`listen ${pg.escapeIdentifier(channel)}`);
    const sentMs = nowMs();
    await sender.query('select pg_notify($1, $2)', [channel, '']);
    const heardMs = await heard.promise;
    return heardMs === null ? null : Math.max(0, heardMs - sentMs);
  } finally {
    clearTimeout(timer);
    listener.client.off('notification', onNotify);
    await listener.query(`unlisten ${pg.escapeIdentifier(channel)}`).catch(() => undefined);
  }
};
