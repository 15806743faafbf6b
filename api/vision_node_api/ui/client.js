/** Sends the HTTP requests for a job: submits it, follows it, fetches its result, and retries temporary failures. */

import { answerMs, getLimits, uploadMs } from "./limits.js";
import { logIn, wantsKey } from "./login.js";
import { sentence } from "./text.js";

/**
 * A problem document (RFC 9457) with the project's `reason`. For an unexpected error, `id` is the id in
 * the server's log. `temporary` is true if the image is not the cause, so the same request may succeed later.
 * @typedef {{title: string, detail?: string, status?: number, type?: string, reason?: string, id?: string,
 *            temporary?: boolean}} Problem
 *
 * A note that says why a job is waiting, and when the next request is due (milliseconds since 1970).
 * @typedef {{kind: "busy" | "lost" | "unavailable" | "queued" | "limited" | "login", reason?: string, detail?: string, until?: number}} Note
 *
 * The changed properties of a job.
 * @typedef {{phase?: string, id?: string, attempts?: number, seconds?: number | null,
 *            note?: Note | null, result?: Record<string, any>, startedAt?: number}} JobUpdate
 */

const FIRST_POLL_MS = 50; // most jobs are done after a few polls at this interval
const MAX_POLL_MS = 1000;
const POLL_GROWTH = 1.5;
const MAX_RETRY_MS = 5000;
const MAX_WAIT_MS = 600_000; // a quota may last until midnight; then the user decides when to try again
const GIVE_UP_AFTER_MS = 180_000; // measured from the first failure; a rolling upgrade takes less time
const MAX_UPLOADS = 3; // leaves half of a browser's six connections for polls
const PROXY_LIMIT = "A proxy between this page and the server does not accept uploads of this size.";
const TEMPORARY_STATUSES = new Set([408, 429, 502, 503, 504]);
// These reasons concern the limits of the user, and not the load of the server.
const LIMIT_REASON = /^(RateLimited|TooManyJobsOfOwner|OwnerShareUsed|DailyBytesUsed|DailyTokensUsed)$/;
// For these reasons, the server itself (not a proxy) responds with 502, so a retry does not help.
const PERMANENT_REASONS = new Set(["ResultChanged", "ResultUnreadable"]);

/** The problem that ended a job, from the server or from the page. */
export class ProblemError extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.title);
    this.problem = problem;
  }
}

/**
 * Submit a job and follow it to its end. Yield its changes, and throw a ProblemError if it fails.
 * @param {{id?: string, file?: File, name: string, describer?: string, prompt?: string, text?: string, idempotencyKey: string}} job
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<JobUpdate, void>}
 */
export async function* describe(job, signal) {
  const limits = await getLimits();
  const id = job.id ?? (yield* upload(job, limits, signal));
  yield* follow(id, answerMs(limits), signal);
}

/** @returns {AsyncGenerator<JobUpdate, string>} the job's id */
async function* upload(job, limits, signal) {
  await takeSlot();
  try {
    signal.throwIfAborted();
    yield { phase: "uploading", startedAt: Date.now() };

    const form = new FormData();
    form.append("file", await ensureReadable(job.file), job.name);
    if (job.describer) form.append("describer", job.describer);
    if (job.prompt) form.append("prompt", job.prompt);
    if (job.text) form.append("text", job.text);

    // With the key, a repeated request returns the same job. Otherwise, a lost response would lead to a second job.
    const headers = { "Idempotency-Key": job.idempotencyKey };
    const init = { method: "POST", body: form, headers };
    const body = yield* requestUntilAnswered("submit", init, uploadMs(limits, job.size), signal);
    yield { phase: "queued", id: body.job_id };
    return body.job_id;
  } finally {
    releaseSlot();
  }
}

/** @returns {AsyncGenerator<JobUpdate, void>} */
async function* follow(id, timeout, signal) {
  let delay = FIRST_POLL_MS;
  for (let phase = "queued"; ; delay = Math.min(delay * POLL_GROWTH, MAX_POLL_MS)) {
    await pause(delay, signal);
    const status = yield* requestUntilAnswered(`status/${encodeURIComponent(id)}`, {}, timeout, signal);
    const update = { attempts: status.attempts, seconds: status.duration_seconds };

    if (status.status === "failed") {
      yield update;
      throw new ProblemError(jobProblem(status.error));
    }

    if (status.status === "done") {
      const result = yield* fetchResult(id, timeout, signal);
      if (result) return yield { ...update, phase: "done", result };
      continue;
    }

    if (status.status !== phase) delay = FIRST_POLL_MS;
    phase = status.status;
    yield { ...update, phase, note: waitNote(status.waiting) };
  }
}

/** Return a note about the describer's problem if a job is waiting because of it; otherwise, null. @returns {Note | null} */
function waitNote(waiting) {
  return waiting ? { kind: "queued", reason: waiting.reason, detail: waiting.message } : null;
}

/**
 * Fetch the result. Return null if the replica that responds does not know yet that the job is done.
 * @returns {AsyncGenerator<JobUpdate, Record<string, any> | null>}
 */
async function* fetchResult(id, timeout, signal) {
  try {
    return yield* requestUntilAnswered(`result/${encodeURIComponent(id)}`, {}, timeout, signal);
  } catch (error) {
    if (error instanceof ProblemError && error.problem.status === 409) return null;
    throw error;
  }
}

/** @returns {Problem} */
function jobProblem(error) {
  const { reason, message } = error ?? {};
  return { title: sentence(reason ?? "Failed"), detail: message, reason };
}

/**
 * Repeat a request until it is answered. If the connection is lost, or if the server is busy or
 * restarting, yield a note about the problem and retry. If the session has ended, wait for the user to log in.
 * @returns {AsyncGenerator<JobUpdate, Record<string, any>>} the JSON body of a 2xx response
 */
async function* requestUntilAnswered(path, init, timeout, signal) {
  let failedAt = Infinity;
  for (let tries = 0; ; tries += 1) {
    const sentAt = performance.now();
    const { response, body } = await request(path, init, timeout, signal);
    if (response?.ok && body) {
      if (tries) yield { note: null };
      return body;
    }

    if (wantsKey(response, body)) {
      yield { note: { kind: "login" } };
      await logIn(sentAt, signal);
      continue;
    }

    const temporary = !response || isTemporary(response.status, body?.reason);
    failedAt = Math.min(failedAt, Date.now()); // the upload itself may take longer than GIVE_UP_AFTER_MS
    const exhausted = response?.status !== 429 && Date.now() - failedAt > GIVE_UP_AFTER_MS;
    const wait = retryAfter(response) ?? Math.min(250 * 2 ** tries, MAX_RETRY_MS);
    if (!temporary || exhausted || wait > MAX_WAIT_MS) throw new ProblemError(responseProblem(response, body));

    yield { note: { ...retryNote(response, body), until: Date.now() + wait } };
    await pause(wait, signal);
  }
}

/** Send one request. The response is null if the server was not reached or did not finish its response. */
async function request(path, init, timeout, signal) {
  try {
    const either = AbortSignal.any([signal, AbortSignal.timeout(timeout)]);
    const response = await fetch(path, { ...init, cache: "no-store", signal: either });
    return { response, body: json(await response.text()) };
  } catch {
    signal.throwIfAborted();
    return { response: null, body: null };
  }
}

/** @returns {Record<string, any> | null} */
function json(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "object" ? value : null;
  } catch {
    return null; // the text may be, for example, a proxy's HTML page
  }
}

/** Return a note that says why a request is repeated. @returns {Note} */
function retryNote(response, body) {
  if (!response) return { kind: "lost" };
  const { reason, detail } = body ?? {};
  if (response.status === 429) return { kind: LIMIT_REASON.test(reason) ? "limited" : "busy", reason, detail };
  return { kind: "unavailable", reason, detail };
}

/** Return the wait in milliseconds according to Retry-After, which contains a number of seconds or a date. */
function retryAfter(response) {
  const value = response?.headers.get("Retry-After");
  if (!value) return null;
  const wait = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(wait) ? null : Math.max(wait, 0);
}

/** @returns {Problem} */
function responseProblem(response, body) {
  if (!response) {
    const minutes = GIVE_UP_AFTER_MS / 60_000;
    const detail = `No answer for ${minutes} minutes. Check your connection. Accepted jobs continue without this page.`;
    return { title: "The server can't be reached", detail, temporary: true };
  }

  const { status, ok } = response;
  const defaultDetail = status === 413 ? PROXY_LIMIT : undefined; // the API's own 413 has a detail
  const { title, detail = defaultDetail, type, reason, id } = body ?? {};
  const defaultTitle = ok ? "The server sent an unexpected answer" : `The server answered ${status}`;
  const temporary = isTemporary(status, reason) || (status >= 500 && !PERMANENT_REASONS.has(reason));

  return { title: title ?? defaultTitle, detail, status, type, reason, id, temporary };
}

/** Return whether the same request may succeed later. */
function isTemporary(status, reason) {
  return TEMPORARY_STATUSES.has(status) && !PERMANENT_REASONS.has(reason);
}

/**
 * Return the file if it can still be read. This check is needed because fetch does not distinguish an
 * unreadable file from a lost connection.
 */
async function ensureReadable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return file;
  } catch {
    const detail = "It was moved or changed, or it is a folder. Choose it again.";
    throw new ProblemError({ title: "The file can't be read", detail });
  }
}

/** @param {number} ms @param {AbortSignal} signal @returns {Promise<void>} */
function pause(ms, signal) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const abort = () => (clearTimeout(timer), reject(signal.reason));
    const timer = setTimeout(() => (signal.removeEventListener("abort", abort), resolve()), ms);
    signal.addEventListener("abort", abort, { once: true });
  });
}

let freeSlots = MAX_UPLOADS;
/** @type {Array<() => void>} */
const waiting = [];

/** @returns {Promise<void>} */
async function takeSlot() {
  if (freeSlots > 0) freeSlots -= 1;
  else await new Promise((resolve) => waiting.push(() => resolve(undefined)));
}

function releaseSlot() {
  const next = waiting.shift();
  if (next) next();
  else freeSlots += 1;
}
