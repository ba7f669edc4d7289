// Asking the bff, and knowing whether it answers.
import { store } from "./html.js";

/** Whether the bff answers; when not: since when, and when it is asked again (milliseconds, as performance.now). */
export const link = store({ up: true, since: 0, retryAt: 0 });

export const locked = store(false); // whether a token is wanted

// Seconds: while nobody asks the bff looks every 5 s, and who then asks waits a second for a new look.
const LOOKS_WITHIN = 8;

/** An answer that is an error, with what problem+json says of it. */
export class Problem extends Error {
  constructor(status, body) {
    super(body.detail || body.title || `HTTP ${status}`);
    this.status = status;
    this.title = body.title || "";
    this.errors = body.errors || [];
    this.requestId = body.request_id || "";
    this.type = body.type || "";
  }
}

// A 64-bit integer is more than a JavaScript number holds: kept as BigInt where the browser gives its text.
const exact = (_, value, context) =>
  typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value) && context?.source
    ? /^-?\d+$/.test(context.source)
      ? BigInt(context.source)
      : value
    : value;

export const parse = (text) => (/\d{16}/.test(text) ? JSON.parse(text, exact) : JSON.parse(text));

/** The same JSON again, indented. */
export const pretty = (value) =>
  JSON.stringify(value, (_, v) => (typeof v === "bigint" ? (JSON.rawJSON?.(String(v)) ?? String(v)) : v), 2);

/** What a path answers, as an object; Problem, or TypeError when nobody answers within `seconds`. */
export const ask = async (path, options, seconds) => (await asked(path, options, seconds)).body;

/** The same with the time that the server gave it (seconds since 1970; NaN if none), by the server's own clock. */
async function asked(path, options = {}, seconds = 5) {
  const signal = AbortSignal.timeout(seconds * 1000);
  let answer, text;
  try {
    answer = await fetch(path, { cache: "no-store", signal, ...options });
    text = await answer.text();
  } catch (error) {
    throw new TypeError("no answer", { cause: error });
  }
  if (answer.status === 502 || answer.status === 504) throw new TypeError("no answer"); // of a proxy before the bff
  let body;
  try {
    body = text ? parse(text) : {};
  } catch {
    body = {};
  }
  if (answer.status === 401) locked.set(true);
  if (!answer.ok) throw new Problem(answer.status, body);
  return { body, answered: Date.parse(answer.headers.get("Date")) / 1000 };
}

/** Seconds since the bff that answers has looked at the system, once its answers say nothing of now any more; else 0. */
export function notLookedFor(system) {
  const { body, at } = system.get();
  const now = performance.now();
  const age = body && now - system.heard < 4000 ? (now - at) / 1000 : 0;
  return age > LOOKS_WITHIN ? age : 0;
}

export const pause = (ms) => new Promise((done) => setTimeout(done, ms));

export const visible = () =>
  new Promise((done) => {
    if (!document.hidden) return done();
    document.addEventListener("visibilitychange", () => done(), { once: true });
  });

/** A store that holds what a path answers, asked every `seconds` while somebody looks: {body, error, at}, where `at` is
 * when the body's `at` was (milliseconds, as performance.now): an answer may be old when it comes.
 * An answer has `patience` seconds; `whenDown` is told of none (milliseconds until the next try) and of one (null). */
export function polled(path, seconds, patience, whenDown) {
  const found = store({ body: null, error: null, at: 0 });
  let hurry = () => {};
  found.now = () => hurry();
  (async () => {
    for (let failures = 0; ;) {
      await visible();
      let wait = seconds * 1000;
      try {
        const { body, answered } = await asked(path, {}, patience);
        const before = found.get();
        found.heard = performance.now();
        // The bff gives everybody what its last look found: the same again is not drawn again.
        if (before.error || body.at === undefined || String(body.at) !== String(before.body?.at))
          found.set({ body, error: null, at: performance.now() - Math.max(0, answered - body.at || 0) * 1000 });
        failures = 0;
        whenDown?.(null);
      } catch (error) {
        failures = error instanceof Problem ? 0 : failures + 1;
        found.set({ ...found.get(), error });
        if (failures) wait = Math.max(wait, Math.min(5, failures) * 1000);
        whenDown?.(failures ? wait : null);
      }
      await Promise.race([pause(wait), new Promise((done) => (hurry = done))]);
    }
  })();
  return found;
}

/** For the one that decides whether the bff is up. */
export function saysLink(wait) {
  const now = performance.now();
  const { up, since } = link.get();
  if (wait === null) return up || link.set({ up: true, since: now, retryAt: 0 });
  link.set({ up: false, since: up ? now : since, retryAt: now + wait });
}
