/**
 * One keep-alive agent that hands a connection over only when it is ready (TCP, and TLS where used).
 *
 * So a request's `socket` event is the moment right before its bytes go: everything that fails earlier has certainly sent nothing, and
 * whether we may still send (leadership) is asked there and not before a handshake that can take longer than a lease.
 */
import { Agent as HttpAgent, type AgentOptions } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Duplex } from 'node:stream';

/**
 * An idle connection is closed after this time. A server that closes first races our next write, and a reset write costs a question;
 * servers with shorter times say so in a Keep-Alive header, which Node obeys.
 */
const IDLE_MS = 10_000;
const CONNECT_MS_MAX = 10_000;

export interface ReadyAgent {
  /** As got wants it: the one for this protocol. */
  readonly agents: { readonly http?: HttpAgent; readonly https?: HttpsAgent };
  /** Closes every connection, open, idle or being opened. */
  readonly destroy: () => void;
}

/** `connectMs` (at most 10 s) limits name look-up, TCP and TLS together. */
export const createReadyAgent = (protocol: string, connectMs: number): ReadyAgent => {
  const secure = protocol === 'https:';
  // Said outright, because NODE_TLS_REJECT_UNAUTHORIZED=0 would turn the check off where nothing is said.
  const options: AgentOptions = { keepAlive: true, timeout: IDLE_MS };
  const agent = secure ? new HttpsAgent({ ...options, rejectUnauthorized: true }) : new HttpAgent(options);
  const dial = agent.createConnection.bind(agent);
  const opening = new Set<Duplex>();
  agent.createConnection = (target, done) => {
    const socket = dial(target);
    if (socket === null || socket === undefined || done === undefined) return socket;
    opening.add(socket);
    whenReady(socket, secure ? 'secureConnect' : 'connect', Math.min(connectMs, CONNECT_MS_MAX), (error) => {
      opening.delete(socket);
      done(error, socket);
    });
    return undefined;
  };
  const destroy = (): void => {
    for (const socket of opening) socket.destroy();
    agent.destroy();
  };
  return { agents: agent instanceof HttpsAgent ? { https: agent } : { http: agent }, destroy };
};

const connectError = (code: string): Error => Object.assign(new Error(`connection not ready: ${code}`), { code });

/** Calls `done` once: with null when the socket is ready, else with the error, the socket destroyed. */
const whenReady = (socket: Duplex, event: 'connect' | 'secureConnect', withinMs: number, done: (error: Error | null) => void): void => {
  const settle = (error: Error | null): void => {
    clearTimeout(timer);
    socket.off(event, onReady).off('error', settle).off('close', onClose);
    done(error);
  };
  const onReady = (): void => settle(null);
  const onClose = (): void => settle(connectError('ECONNRESET'));
  const timer = setTimeout(() => socket.destroy(connectError('ETIMEDOUT')), withinMs);
  socket.once(event, onReady).once('error', settle).once('close', onClose);
};
