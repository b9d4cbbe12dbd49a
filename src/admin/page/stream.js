/**
 * Server-sent events over fetch: EventSource cannot send the admin token. Connects again by itself, later each time, and says whether it is
 * connected.
 */
import { authorization, token } from './api.js';
import { daemonClock } from './clock.js';

/** The daemon sends something every 15 s, a comment where there is nothing new. */
const SILENCE_MS_MAX = 25_000;
/** It answers at once, or not at all. */
const ANSWER_MS_MAX = 5_000;
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 15_000;

/**
 * Parses what has arrived so far. Exported for its test.
 *
 * @param {string} text
 * @returns {{ events: readonly { name: string, data: string }[], rest: string }}
 */
export const parseEvents = (text) => {
  const blocks = text.replaceAll('\r\n', '\n').split('\n\n');
  const rest = blocks.pop() ?? '';
  const events = blocks.flatMap((block) => {
    let name = 'message';
    /** @type {string[]} */
    const data = [];
    for (const line of block.split('\n')) {
      if (line.startsWith('event:')) name = line.slice(6).trim();
      else if (line.startsWith('data:')) data.push(line.slice(5).trimStart());
    }
    return data.length === 0 ? [] : [{ name, data: data.join('\n') }];
  });
  return { events, rest };
};

/**
 * @param {object} options
 * @param {(name: string, data: unknown) => void} options.onEvent
 * @param {(state: import('./connection.js').State, retryAtMs: number | null) => void} options.onState
 * @returns {{ start(): void, restart(): void }}
 */
export const createStream = ({ onEvent, onState }) => {
  /** @type {AbortController | null} */
  let current = null;
  let failures = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;

  /** @param {AbortController} mine @returns {Promise<import('./connection.js').State>} Why it ended. */
  const run = async (mine) => {
    let silence = setTimeout(() => mine.abort(), ANSWER_MS_MAX);
    try {
      const headers = { accept: 'text/event-stream', ...authorization() };
      const response = await fetch('api/events', { headers, cache: 'no-store', signal: mine.signal });
      daemonClock.hear(response.headers.get('date'));
      if (!response.ok || response.body === null) return answered(response.status);
      failures = 0;
      clearTimeout(silence);
      silence = setTimeout(() => mine.abort(), SILENCE_MS_MAX);
      onState('live', null);
      let text = '';
      for await (const chunk of readerOf(response.body)) {
        clearTimeout(silence);
        silence = setTimeout(() => mine.abort(), SILENCE_MS_MAX);
        const { events, rest } = parseEvents(text + chunk);
        text = rest;
        for (const { name, data } of events) onEvent(name, JSON.parse(data));
      }
      return 'lost';
    } finally {
      clearTimeout(silence);
    }
  };

  const connect = () => {
    clearTimeout(timer);
    current?.abort();
    const mine = new AbortController();
    current = mine;
    const again = (/** @type {import('./connection.js').State} */ state) => {
      if (current !== mine) return;
      // Nobody is asked again and again for what only a person can give.
      if (state === 'locked') return onState(state, null);
      const waitMs = Math.min(RETRY_MS_MAX, RETRY_MS_MIN * 2 ** failures);
      failures += 1;
      onState(state, Date.now() + waitMs);
      timer = setTimeout(connect, waitMs);
    };
    void run(mine).then(again, () => again('lost'));
  };
  return { start: connect, restart: connect };
};

/**
 * What the daemon means that answers, and sends no events.
 *
 * @param {number} status
 * @returns {import('./connection.js').State}
 */
const answered = (status) => {
  if (status === 401 && token() === null) return 'locked';
  return status === 503 ? 'crowded' : 'lost';
};

/**
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<string, void>}
 */
async function* readerOf(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield decoder.decode(value, { stream: true });
  }
}
