/** A way to Postgres that can go silent, or be cut. */
import { connect, createServer, type Server, type Socket } from 'node:net';

export interface Way {
  readonly url: string;
  silence(): void;
  speak(): void;
  cut(): Promise<void>;
  /** Connections that lead to it. */
  open(): number;
}

/** `closing`: what has to be done in the end. */
export const openWay = async (url: string, closing: (() => Promise<void>)[]): Promise<Way> => {
  const target = new URL(url);
  const sockets = new Set<Socket>();
  const inner = new Set<Socket>();
  let silent = false;
  const server: Server = createServer((socket) => {
    const upstream = connect(Number(target.port), target.hostname);
    sockets.add(socket).add(upstream);
    inner.add(socket);
    socket.on('close', () => inner.delete(socket));
    for (const end of [socket, upstream])
      end.on('error', () => undefined).on('close', () => [socket, upstream].forEach((each) => each.destroy()));
    socket.on('data', (chunk) => void (silent || upstream.write(chunk)));
    upstream.on('data', (chunk) => void (silent || socket.write(chunk)));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const way = new URL(url);
  way.host = `127.0.0.1:${(server.address() as { port: number }).port}`;
  const cut = async (): Promise<void> => {
    for (const socket of sockets) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  closing.push(async () => await cut().catch(() => undefined));
  return { url: way.href, silence: () => (silent = true), speak: () => (silent = false), cut, open: () => inner.size };
};
