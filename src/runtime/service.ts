/**
 * What every long-running part promises: `start` and `stop` may be called in any order and any number of times; `stop` resolves when
 * nothing of it runs any more.
 */
export interface Service {
  start(): Promise<void>;
  stop(): Promise<void>;
}
