/** Puts an outcome on the wire, the broken ones included. */
import { once } from 'node:events';
import type { FastifyReply } from 'fastify';
import type { Answer } from './answer.ts';
import type { PartialOutcome } from './partial-faults.ts';

const page = (title: string): string => `<!DOCTYPE html><html><head><title>${title}</title></head><body><h1>${title}</h1></body></html>`;

const sendHtml = (reply: FastifyReply, status: number): FastifyReply =>
  reply
    .code(status)
    .type('text/html; charset=UTF-8')
    .send(page(String(status)));

/** A client that does not ask for JSON gets pages instead of errors, and is sent back to its form for a 422. */
const sendJson = (reply: FastifyReply, { status, body }: Answer, asJson: boolean): FastifyReply => {
  if (!asJson && status === 422) return sendHtml(reply.header('location', '/'), 302);
  if (!asJson && status >= 400) return sendHtml(reply, status);
  if (body === undefined) return reply.code(status).send();
  return reply.code(status).type('application/json').send(JSON.stringify(body));
};

/** The whole length is announced, half of it is sent. */
const sendTruncated = async (reply: FastifyReply, { status, body }: Answer): Promise<void> => {
  const bytes = Buffer.from(JSON.stringify(body ?? null));
  const { raw } = reply;
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) raw.setHeader(name, value);
  raw.writeHead(status, { 'content-type': 'application/json', 'content-length': bytes.length });
  const closed = once(raw, 'close');
  raw.write(bytes.subarray(0, Math.floor(bytes.length / 2)), () => raw.socket?.destroy());
  await closed;
};

/** Resolves once the answer is handed over, or the connection is gone. */
export const sendOutcome = async (reply: FastifyReply, outcome: PartialOutcome, asJson: boolean): Promise<void> => {
  switch (outcome.wire) {
    case 'json':
      await sendJson(reply.headers(outcome.headers ?? {}), outcome.answer, asJson);
      return;
    case 'half-json': {
      const text = JSON.stringify(outcome.answer.body ?? null);
      await reply
        .code(outcome.answer.status)
        .type('application/json')
        .send(text.slice(0, Math.floor(text.length / 2)));
      return;
    }
    case 'html':
      await sendHtml(reply.headers(outcome.headers ?? {}), outcome.status);
      return;
    case 'truncated':
      void reply.hijack();
      await sendTruncated(reply, outcome.answer);
      return;
    case 'reset':
      void reply.hijack();
      reply.raw.socket?.resetAndDestroy();
      return;
    case 'hang': {
      void reply.hijack();
      if (!reply.raw.closed) await once(reply.raw, 'close');
      return;
    }
  }
};
