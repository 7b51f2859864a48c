// Retry: transient errors once or twice after a jittered backoff, permanent ones never. See retry.py.
import { setTimeout as sleepMs } from "node:timers/promises";

// Awaits `call()` until it succeeds, or a retry would not help or not be in time: then throws its last error.
//   classify(error) returns { transient, retryAfterS }; `signal` ends the waiting.
export async function callWithRetry(call, classify, options = {}) {
  const { maxAttempts = 3, baseS = 2, deadlineS = 60, signal } = options;
  const { now = () => performance.now() / 1000, uniform = Math.random, sleep = waitS } = options;
  const begun = now();
  for (let attempt = 1; ; attempt++) {
    try {
      return await call();
    } catch (error) {
      const failure = classify(error);
      if (!failure.transient || attempt >= maxAttempts) throw error;
      // What the server asked for is a floor: who comes back at the same instant is throttled together again.
      const delayS = Math.max(failure.retryAfterS ?? 0, 0) + uniform() * baseS * 2 ** (attempt - 1);
      if (!(now() - begun + delayS < deadlineS)) throw error;
      await sleep(delayS, signal);
    }
  }
}

// Returns the seconds that an answer's headers ask to wait, undefined for nothing; a date counts from the answer's own.
export function retryAfterS(headers, now = () => Date.now() / 1000) {
  for (const [name, unitS] of [["retry-after-ms", 1e-3], ["x-amz-retry-after", 1e-3], ["retry-after", 1]]) {
    const told = headers?.get(name);
    if (!told) continue;
    const date = Date.parse(headers.get("date") ?? "") / 1000;
    const seconds = Number.isNaN(Number(told)) ? Date.parse(told) / 1000 - (date || now()) : Number(told) * unitS;
    if (seconds >= 0 && seconds < Infinity) return seconds;
  }
  return undefined;
}

const waitS = (seconds, signal) => sleepMs(seconds * 1000, undefined, { signal });
