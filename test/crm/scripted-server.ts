/** A real HTTP server on loopback whose every answer is written by the test, faults of the wire included. It keeps what it received. */
import { createServer, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';

export interface Received {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
}
export type Script = (request: Received, response: ServerResponse) => void;

export interface ScriptedServer extends AsyncDisposable {
  /** As CRM_URL: ends in `/api`. */
  readonly url: string;
  readonly received: Received[];
  /** Connections accepted so far. */
  readonly connections: () => number;
  script: Script;
}

export const startServer = async (script: Script): Promise<ScriptedServer> => {
  const sockets = new Set<Socket>();
  let connections = 0;
  const server = createServer((message, response) => {
    const chunks: Buffer[] = [];
    message.on('data', (chunk: Buffer) => chunks.push(chunk));
    message.on('end', () => {
      const url = new URL(message.url ?? '', 'http://scripted');
      const body = Buffer.concat(chunks).toString();
      const request = { method: message.method ?? '', path: url.pathname, query: url.searchParams, headers: message.headers, body };
      handle.received.push(request);
      handle.script(request, response);
    });
  });
  server.on('connection', (socket) => {
    connections += 1;
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const handle: ScriptedServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api`,
    received: [],
    connections: () => connections,
    script,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return handle;
};

/** A listener that accepts connections and does with them what the test says; no HTTP. */
export const startTcp = async (onConnection: (socket: Socket) => void): Promise<AsyncDisposable & { readonly port: number }> => {
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
};

export const json =
  (status: number, body: unknown, headers: OutgoingHttpHeaders = {}): Script =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  };

export const html =
  (status: number, headers: OutgoingHttpHeaders = {}): Script =>
  (_request, response) => {
    response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', ...headers }).end('<!doctype html><title>Oops</title>');
  };

export const empty =
  (status: number, headers: OutgoingHttpHeaders = {}): Script =>
  (_request, response) => {
    response.writeHead(status, headers).end();
  };

/** The request was read, so it may have been processed; no answer comes. */
export const resetAfterReading: Script = (_request, response) => response.socket?.resetAndDestroy();

export const hang: Script = () => undefined;

/** Announces the whole body, sends half of it, and breaks. */
export const truncated =
  (body: unknown): Script =>
  (_request, response) => {
    const text = JSON.stringify(body);
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
    response.write(text.slice(0, text.length / 2), () => response.socket?.destroy());
  };

/** Half a JSON document in a complete, well-formed HTTP answer. */
export const halfJson =
  (body: unknown): Script =>
  (_request, response) => {
    const text = JSON.stringify(body);
    response.writeHead(200, { 'content-type': 'application/json' }).end(text.slice(0, text.length / 2));
  };

/** A small compressed body that becomes `bytes` of spaces. */
export const gzipBomb =
  (bytes: number): Script =>
  (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }).end(gzipSync(Buffer.alloc(bytes, ' ')));
  };

/** Sends spaces for as long as somebody listens. */
export const endless: Script = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' });
  const chunk = Buffer.alloc(16_384, ' ');
  const pump = (): void => {
    while (!response.destroyed && response.write(chunk));
    response.once('drain', pump);
  };
  pump();
};

/** A contact as the CRM prints it in a list. */
export const contactRow = (id: number, more: { readonly [key: string]: unknown } = {}): { readonly [key: string]: unknown } => ({
  id,
  first_name: `First${id}`,
  last_name: null,
  email: `c${id}@example.com`,
  phones: [],
  user_id: 1,
  source_id: null,
  country_id: null,
  job_title: null,
  street: null,
  city: null,
  state: null,
  postal_code: null,
  created_at: '2026-01-23T04:58:56.000000Z',
  updated_at: '2026-01-23T04:58:56.000000Z',
  ...more,
});

export const envelope = (rows: readonly unknown[], meta: { readonly [key: string]: unknown } = {}): unknown => ({
  data: rows,
  links: {
    first: 'https://elsewhere.example/api/contacts?page=1',
    last: null,
    prev: null,
    next: 'https://elsewhere.example/api/contacts?page=2',
  },
  meta: { current_page: 1, last_page: 1, per_page: 15, total: rows.length, from: 1, to: rows.length, ...meta },
});
