/**
 * A CRM that has fallen into wrong hands: a real HTTP server between the program and the sandbox CRM. It passes everything on, until the test
 * says which calls it answers itself, or what it does to an answer on its way.
 */
import {
  createServer,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request as send,
  type RequestListener,
  type ServerResponse,
} from 'node:http';
import { createServer as createSecureServer, type ServerOptions } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

export interface Asked {
  readonly method: string;
  /** With the query string. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
}
/** Answers in the CRM's place. */
export type Attack = (response: ServerResponse, asked: Asked) => void;
/** Changes the parsed JSON of the CRM's answer; what it answers is sent. */
export type Mangle = (body: unknown, asked: Asked) => unknown;

/** `instead`: the CRM never gets the request; `after`: it has carried it out, and only its answer is replaced. */
export type When = 'instead' | 'after';

export interface HostileCrm {
  /** As CRM_URL. */
  readonly url: string;
  /** Every request that came, in order. */
  readonly asked: Asked[];
  /** How many were answered by an attack. */
  attacked(): number;
  /** From now on: requests that fit are answered by the attack. */
  attack(fits: (asked: Asked) => boolean, attack: Attack, when?: When): void;
  /** From now on: 2xx answers that fit pass through this. */
  mangle(fits: (asked: Asked) => boolean, mangle: Mangle): void;
  /** From now on: every answer of the CRM carries these headers too. */
  lie(headers: OutgoingHttpHeaders): void;
  /** Behaves again. */
  behave(): void;
  close(): Promise<void>;
}

export const isList = ({ method, path }: Asked): boolean => method === 'GET' && path.startsWith('/api/contacts?');
export const isWrite = ({ method }: Asked): boolean => method !== 'GET';

const readAll = async (message: IncomingMessage): Promise<Buffer> => {
  const chunks: Buffer[] = [];
  for await (const chunk of message) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
};

/** Passes the request on and answers what came back. */
const forward = async (target: URL, message: IncomingMessage): Promise<{ readonly answer: IncomingMessage; readonly body: Buffer }> => {
  const { method, url, headers } = message;
  const outgoing = send({
    host: target.hostname,
    port: target.port,
    method,
    path: url,
    headers: { ...headers, 'accept-encoding': 'identity' },
  });
  outgoing.end(await readAll(message));
  const answer = await new Promise<IncomingMessage>((resolve, reject) => outgoing.on('response', resolve).on('error', reject));
  return { answer, body: await readAll(answer) };
};

export const startHostileCrm = async (crmUrl: string, tls?: ServerOptions): Promise<HostileCrm> => {
  const target = new URL(crmUrl);
  const sockets = new Set<Socket>();
  const asked: Asked[] = [];
  let attacks: { fits: (asked: Asked) => boolean; attack: Attack; when: When } | null = null;
  let mangles: { fits: (asked: Asked) => boolean; mangle: Mangle } | null = null;
  let lies: OutgoingHttpHeaders = {};
  let attacked = 0;

  const answer = async (message: IncomingMessage, response: ServerResponse): Promise<void> => {
    const request: Asked = { method: message.method ?? '', path: message.url ?? '', headers: message.headers };
    asked.push(request);
    if (attacks?.fits(request) === true) {
      const { attack, when } = attacks;
      if (when === 'after') await forward(target, message);
      else message.resume();
      attacked += 1;
      return attack(response, request);
    }
    const { answer: passed, body } = await forward(target, message);
    const ok = (passed.statusCode ?? 0) < 300 && body.length > 0;
    const mangled = mangles?.fits(request) === true && ok ? mangles.mangle(JSON.parse(body.toString()), request) : null;
    const text = mangled === null ? body : Buffer.from(typeof mangled === 'string' ? mangled : JSON.stringify(mangled));
    const { 'content-length': _length, 'transfer-encoding': _encoding, connection: _connection, ...headers } = passed.headers;
    response.writeHead(passed.statusCode ?? 500, { ...headers, ...lies, 'content-length': text.length }).end(text);
  };
  const listener: RequestListener = (message, response) => void answer(message, response).catch(() => response.destroy());
  const server = tls === undefined ? createServer(listener) : createSecureServer(tls, listener);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket));
  });
  server.on('clientError', (_error, socket) => socket.destroy());
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}/api`,
    asked,
    attacked: () => attacked,
    attack: (fits, attack, when = 'instead') => void (attacks = { fits, attack, when }),
    mangle: (fits, mangle) => void (mangles = { fits, mangle }),
    lie: (headers) => void (lies = headers),
    behave: () => {
      lies = {};
      attacks = null;
      mangles = null;
      // What was left hanging is over, too.
      for (const socket of sockets) socket.destroy();
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};
