/**
 * The image's HEALTHCHECK: 0 where the daemon's HTTP server answers well, 1 otherwise, with its words for `docker inspect`.
 * An argument asks for another path than /healthz: `healthcheck.mjs /readyz`.
 */
import process from 'node:process';

const TIMEOUT_MS = 4000;
const path = process.argv[2] ?? '/healthz';
const port = process.env['HTTP_PORT'] || '8080';

try {
  const answer = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(TIMEOUT_MS) });
  console.log(`${path} ${answer.status} ${(await answer.text()).slice(0, 1000)}`);
  process.exitCode = answer.ok ? 0 : 1;
} catch (error) {
  const { name, cause } = /** @type {Error & { readonly cause?: { readonly code?: string } }} */ (error);
  console.log(`${path} on port ${port}: ${cause?.code ?? name}`);
  process.exitCode = 1;
}
