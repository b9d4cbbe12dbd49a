/**
 * A TCP proxy that can fall silent in both directions without closing anything, as a pulled cable or a firewall that drops does: whoever
 * waits behind it gets no reset and no end. `cut` also silences connections that are made meanwhile.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface SilentProxy {
  readonly port: number;
  cut(): void;
  /** The way is open again. `kept`: what was under way arrives late. `lost`: connections from before stay silent for ever. */
  heal(fate: 'kept' | 'lost'): void;
  close(): Promise<void>;
}

interface Pair {
  readonly inner: Socket;
  readonly outer: Socket;
}

/** Sees each chunk of one connection before it goes to the target. `late`: it may have lain in a wire that was cut. */
export type Listener = (chunk: Buffer, late: boolean) => void;

/** What was sent into a cut wire comes out within this, once it is whole again. */
const LATE_MS = 250;

/** `listen` is called for each connection as it is made, with the port that it comes from. */
export const startSilentProxy = async (
  targetPort: number,
  listen: (fromPort: number) => Listener = () => () => undefined,
): Promise<SilentProxy> => {
  const pairs = new Set<Pair>();
  const waiting = new Map<Socket, Listener>();
  const all = new Set<Socket>();
  let silent = false;
  let healedMs = Number.NEGATIVE_INFINITY;
  const join = (inner: Socket, heard: Listener): void => {
    const outer = connect(targetPort, '127.0.0.1');
    const pair = { inner, outer };
    pairs.add(pair);
    inner.on('data', (chunk: Buffer) => heard(chunk, performance.now() - healedMs < LATE_MS));
    for (const socket of [inner, outer]) {
      socket.on('error', () => undefined);
      socket.on('close', () => {
        pairs.delete(pair);
        inner.destroy();
        outer.destroy();
      });
    }
    flow(pair);
  };
  const flow = ({ inner, outer }: Pair): void => {
    inner.pipe(outer);
    outer.pipe(inner);
  };
  const stop = ({ inner, outer }: Pair): void => {
    inner.unpipe(outer).pause();
    outer.unpipe(inner).pause();
  };
  const server = createServer({ pauseOnConnect: true }, (inner) => {
    inner.on('error', () => undefined);
    all.add(inner);
    inner.on('close', () => all.delete(inner));
    const heard = listen(inner.remotePort ?? 0);
    if (!silent) return join(inner, heard);
    waiting.set(inner, heard);
    inner.on('close', () => waiting.delete(inner));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    cut: () => {
      silent = true;
      pairs.forEach(stop);
    },
    heal: (fate) => {
      if (!silent) return;
      silent = false;
      healedMs = performance.now();
      if (fate === 'kept') pairs.forEach(flow);
      const late = [...waiting];
      waiting.clear();
      if (fate === 'kept') for (const [inner, heard] of late) join(inner, heard);
    },
    close: async () => {
      for (const { outer } of pairs) outer.destroy();
      // Those that nobody reads from any more do not even notice that the other end is gone.
      for (const socket of all) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
};
