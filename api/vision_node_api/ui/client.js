/** The HTTP side of one job: submit it, follow it, fetch its result, and sit out what passes. */

import { answerMs, knownLimits, uploadMs } from "./limits.js";
import { sentence } from "./text.js";

/**
 * RFC 9457, with the project's `reason`, and the `id` under which the server's log has an unforeseen error.
 * `passing`: it says nothing about the image, so that the same request may be answered later.
 * @typedef {{title: string, detail?: string, status?: number, type?: string, reason?: string, id?: string,
 *            passing?: boolean}} Problem
 *
 * Why a job waits, and until when the next request does (milliseconds since 1970).
 * @typedef {{kind: "busy" | "lost" | "unavailable" | "queued", reason?: string, detail?: string, until?: number}} Note
 *
 * What became known about a job.
 * @typedef {{phase?: string, id?: string, attempts?: number, seconds?: number | null,
 *            note?: Note | null, result?: Record<string, any>, startedAt?: number}} News
 */

const FIRST_POLL_MS = 50; // most jobs are done within a few of these
const LAST_POLL_MS = 1000;
const POLL_GROWTH = 1.5;
const LONGEST_RETRY_MS = 5000;
const PATIENCE_MS = 180_000; // since the first failure; a rolling upgrade takes less, then a person should know
const UPLOADS_AT_ONCE = 3; // leaves half of a browser's six connections to the polls
const TOO_LARGE_ON_THE_WAY = "A proxy between this page and the server accepts no upload of this size.";
const PASSING = new Set([408, 429, 502, 503, 504]);
const LASTING = new Set(["ResultChanged", "ResultUnreadable"]); // also 502, but from the server itself, so a retry won't help

/** The server's (or the page's) reason not to go on. */
export class Refusal extends Error {
  /** @param {Problem} problem */
  constructor(problem) {
    super(problem.title);
    this.problem = problem;
  }
}

/**
 * Bring a job to its end, telling the news on the way; throws a Refusal when it can't be described.
 * @param {{id?: string, file?: File, name: string, describer?: string, prompt?: string, idempotencyKey: string}} job
 * @param {AbortSignal} signal
 * @returns {AsyncGenerator<News, void>}
 */
export async function* describe(job, signal) {
  const limits = await knownLimits();
  const id = job.id ?? (yield* upload(job, limits, signal));
  yield* follow(id, answerMs(limits), signal);
}

/** @returns {AsyncGenerator<News, string>} the job's id */
async function* upload(job, limits, signal) {
  await takeSlot();
  try {
    signal.throwIfAborted();
    yield { phase: "uploading", startedAt: Date.now() };
    const form = new FormData();
    form.append("file", await readable(job.file), job.name);
    if (job.describer) form.append("describer", job.describer);
    if (job.prompt) form.append("prompt", job.prompt);
    // With the key a repeated request is the same job: a lost answer makes no second one.
    const headers = { "Idempotency-Key": job.idempotencyKey };
    const request = { method: "POST", body: form, headers };
    const body = yield* answer("submit", request, uploadMs(limits, job.size), signal);
    yield { phase: "queued", id: body.job_id };
    return body.job_id;
  } finally {
    releaseSlot();
  }
}

/** @returns {AsyncGenerator<News, void>} */
async function* follow(id, timeout, signal) {
  let delay = FIRST_POLL_MS;
  for (let phase = "queued"; ; delay = Math.min(delay * POLL_GROWTH, LAST_POLL_MS)) {
    await pause(delay, signal);
    const status = yield* answer(`status/${encodeURIComponent(id)}`, {}, timeout, signal);
    const news = { attempts: status.attempts, seconds: status.duration_seconds };
    if (status.status === "failed") {
      yield news;
      throw new Refusal(failure(status.error));
    }
    if (status.status === "done") {
      const result = yield* fetchResult(id, timeout, signal);
      if (result) return yield { ...news, phase: "done", result };
      continue;
    }
    if (status.status !== phase) delay = FIRST_POLL_MS;
    phase = status.status;
    yield { ...news, phase, note: trouble(status.waiting) };
  }
}

/** What keeps a queued job from being described, if its describer is in trouble. @returns {Note | null} */
function trouble(waiting) {
  return waiting ? { kind: "queued", reason: waiting.reason, detail: waiting.message } : null;
}

/** @returns {AsyncGenerator<News, Record<string, any> | null>} null: another replica doesn't know it as done yet */
async function* fetchResult(id, timeout, signal) {
  try {
    return yield* answer(`result/${encodeURIComponent(id)}`, {}, timeout, signal);
  } catch (error) {
    if (error instanceof Refusal && error.problem.status === 409) return null;
    throw error;
  }
}

/** @returns {Problem} */
function failure(error) {
  const { reason, message } = error ?? {};
  return { title: sentence(reason ?? "Failed"), detail: message, reason };
}

/**
 * Ask until there is an answer; lost connections, busy and restarting servers are waited for, and said.
 * @returns {AsyncGenerator<News, Record<string, any>>} the JSON body of a 2xx answer
 */
async function* answer(path, init, timeout, signal) {
  let failedAt = Infinity;
  for (let tries = 0; ; tries += 1) {
    const { response, body } = await ask(path, init, timeout, signal);
    if (response?.ok && body) {
      if (tries) yield { note: null };
      return body;
    }
    const passing = !response || isPassing(response.status, body?.reason);
    failedAt = Math.min(failedAt, Date.now()); // an upload may have taken longer than our patience
    const impatient = response?.status !== 429 && Date.now() - failedAt > PATIENCE_MS;
    if (!passing || impatient) throw new Refusal(problem(response, body));
    const wait = retryAfter(response) ?? Math.min(250 * 2 ** tries, LONGEST_RETRY_MS);
    yield { note: { ...setback(response, body), until: Date.now() + wait } };
    await pause(wait, signal);
  }
}

/** One request. No response: the server was not reached, or did not finish its answer. */
async function ask(path, init, timeout, signal) {
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
    return null; // a proxy's HTML page, for one
  }
}

/** Why the next request waits. @returns {Note} */
function setback(response, body) {
  if (!response) return { kind: "lost" };
  if (response.status === 429) return { kind: "busy" };
  return { kind: "unavailable", reason: body?.reason, detail: body?.detail };
}

/** Retry-After in milliseconds, be it seconds or a date. */
function retryAfter(response) {
  const value = response?.headers.get("Retry-After");
  if (!value) return null;
  const wait = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(wait) ? null : Math.max(wait, 0);
}

/** @returns {Problem} */
function problem(response, body) {
  if (!response) {
    const minutes = PATIENCE_MS / 60_000;
    const detail = `No answer for ${minutes} minutes. Check the connection; an accepted job goes on without this page.`;
    return { title: "The server can't be reached", detail, passing: true };
  }
  const { status, ok } = response;
  const untold = status === 413 ? TOO_LARGE_ON_THE_WAY : undefined; // the server itself says more
  const { title, detail = untold, type, reason, id } = body ?? {};
  const untitled = ok ? "The server's answer makes no sense" : `The server answered ${status}`;
  return { title: title ?? untitled, detail, status, type, reason, id, passing: isPassing(status, reason) || (status >= 500 && !LASTING.has(reason)) };
}

/** Whether the same request may succeed later. */
function isPassing(status, reason) {
  return PASSING.has(status) && !LASTING.has(reason);
}

/** The file, if it still is one: fetch can't tell a vanished file from a lost connection. */
async function readable(file) {
  try {
    await file.slice(0, 1).arrayBuffer();
    return file;
  } catch {
    const detail = "It was moved, changed or is a folder. Choose it again.";
    throw new Refusal({ title: "The file can't be read", detail });
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

let freeSlots = UPLOADS_AT_ONCE;
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
