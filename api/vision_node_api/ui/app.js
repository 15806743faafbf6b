/** The page: this session's jobs, what is said about them, and what of them outlives a reload. */

import { Card, copy, finished, resumable, titleOf, waitingFor, warningsOf } from "./card.js";
import { describe, Refusal } from "./client.js";
import { offer } from "./describers.js";
import { acceptable, objection, summary, typeOf } from "./files.js";
import { listen } from "./intake.js";
import { knownLimits } from "./limits.js";
import { fromText, shrink, toText } from "./preview.js";
import { commands, tame } from "./text.js";

/** @typedef {import("./card.js").Job} Job */
/** @typedef {{job: Job, card: Card, stop: AbortController}} Entry */

// By address: one site may have several servers below different paths.
const BASE = new URL(".", document.baseURI);
const HISTORY_KEY = `vision-node.jobs ${BASE.pathname}`;
const HISTORY_LENGTH = 50;
const SAVE_DELAY_MS = 300;
const SPEAK_DELAY_MS = 400; // of what follows faster than this, only the last state is said
const SPOKEN_AT_ONCE = 3;
const TICK_MS = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1000 : 100;

const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

/** Oldest first; the page shows the newest first. @type {Map<string, Entry>} */
const jobs = new Map();

/* Jobs */

/** @param {File[]} files */
async function take(files) {
  notice("");
  const limits = await showLimits();
  const added = files.map((file) => add(newJob(file, limits)));
  for (const entry of added) void run(entry);
  refresh();
  added.at(-1)?.card.element.scrollIntoView({ block: "nearest" });
}

/** @param {File} file @param {import("./limits.js").Limits} limits @returns {Job} */
function newJob(file, limits) {
  const { name, size } = file;
  const describer = $("describer").value || undefined;
  const prompt = $("prompt").value.trim() || undefined;
  const keys = { key: token(), idempotencyKey: token() };
  const job = { ...keys, name, size, type: typeOf(file), describer, prompt, phase: "waiting", file };
  const problem = objection(job, limits);
  return problem ? { ...job, phase: "failed", problem } : job;
}

/** Random, also over plain HTTP, where crypto.randomUUID is missing. */
function token() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {Job} job @returns {Entry} */
function add(job) {
  const card = new Card(job, {
    remove: () => remove(entry),
    again: () => again(entry),
    say: (what) => say("copied", what),
  });
  const entry = { job, card, stop: new AbortController() };
  jobs.set(job.key, entry);
  $("cards").prepend(card.element);
  void preview(entry);
  if (job.problem) say(job.key, spoken(job));
  return entry;
}

/** @param {Entry} entry */
async function run(entry) {
  if (finished(entry.job)) return;
  try {
    for await (const news of describe(entry.job, entry.stop.signal)) update(entry, news);
  } catch (error) {
    if (entry.stop.signal.aborted) return;
    if (!(error instanceof Refusal)) throw error;
    update(entry, { phase: "failed", problem: error.problem });
  }
}

/** @param {Entry} entry @param {Partial<Job>} news */
function update({ job, card }, news) {
  const before = `${job.phase} ${job.note?.kind}`;
  Object.assign(job, news);
  if (finished(job)) {
    job.note = null;
    job.elapsed = job.startedAt && (Date.now() - job.startedAt) / 1000;
  }
  card.paint();
  if (before === `${job.phase} ${job.note?.kind}`) return;
  say(job.key, spoken(job));
  refresh();
}

/** @param {Entry} entry */
function forget({ job, card, stop }) {
  stop.abort();
  card.discard();
  jobs.delete(job.key);
}

/** @param {Entry} entry */
function remove(entry) {
  const { nextElementSibling: next, previousElementSibling: previous } = entry.card.element;
  forget(entry);
  refresh();
  ((next ?? previous)?.querySelector("h3") ?? $("choose")).focus();
}

function removeFinished() {
  for (const entry of jobs.values()) if (finished(entry.job)) forget(entry);
  refresh();
  (jobs.size ? $("jobs-title") : $("choose")).focus();
}

/** Look the job up again if the server has it; else the same image is a new job. @param {Entry} entry */
function again(entry) {
  const { job, card } = entry;
  const fresh = { id: undefined, idempotencyKey: token(), attempts: 0, startedAt: Date.now() };
  Object.assign(job, resumable(job) ? { phase: "queued" } : { phase: "waiting", ...fresh });
  Object.assign(job, { problem: undefined, seconds: null });
  card.paint();
  card.focus();
  refresh();
  void run(entry);
}

/** @param {Entry} entry */
async function preview({ job, card }) {
  try {
    if (job.thumbnail) return card.show(fromText(job.thumbnail));
    if (!job.file || job.problem) return;
    const small = await shrink(job.file);
    card.show(small);
    job.thumbnail = await toText(small);
    save();
  } catch {
    // Few browsers decode HEIC and TIFF, not every one AVIF, and none a corrupt file: the placeholder stays.
  }
}

/* Telling */

/** A job's state for those who listen. @param {Job} job */
function spoken({ name, phase, note, problem, result }) {
  if (note) return `${tame(name)}: waiting. ${waitingFor(note)}.`;
  if (problem) return `${tame(name)}: failed. ${titleOf(problem)}. ${problem.detail ?? ""}`;
  return [`${tame(name)}: ${phase}.`, result?.caption, ...warningsOf(result)].filter(Boolean).join(" ");
}

/** @type {Map<string, string>} */
const unsaid = new Map();

/** @param {string} topic @param {string} words replace what is still unsaid on the same topic */
function say(topic, words) {
  if (!unsaid.size) setTimeout(speak, SPEAK_DELAY_MS);
  unsaid.set(topic, words);
}

function speak() {
  const words = [...unsaid.values()];
  unsaid.clear();
  const more = words.length - SPOKEN_AT_ONCE;
  if (more > 0) words.splice(0, more, `${more} other changes.`);
  $("announcer").textContent = words.join(" ");
}

/** @param {string} words about something that made no job */
function notice(words) {
  $("notice").textContent = words;
  $("notice").hidden = !words;
  if (words) say("notice", words);
}

/** Everything that depends on all jobs together. */
function refresh() {
  const phases = [...jobs.values()].map(({ job }) => job.phase);
  const done = phases.filter((phase) => phase === "done").length;
  const failed = phases.filter((phase) => phase === "failed").length;
  const open = phases.length - done - failed;
  const tally = [open && `${open} in progress`, done && `${done} done`, failed && `${failed} failed`];
  $("tally").textContent = tally.filter(Boolean).join(" · ");
  $("clear").hidden = open === phases.length;
  $("jobs").hidden = !phases.length;
  $("main").toggleAttribute("data-empty", !phases.length);
  document.title = open ? `(${open}) vision-node` : "vision-node";
  save();
}

/* History */

let saving = 0;

function save() {
  saving ||= setTimeout(saveNow, SAVE_DELAY_MS);
}

function saveNow() {
  clearTimeout(saving);
  saving = 0;
  const newest = [...jobs.values()].slice(-HISTORY_LENGTH);
  const kept = newest.map(({ job }) => ({ ...job, file: undefined, note: undefined }));
  try {
    sessionStorage.setItem(HISTORY_KEY, JSON.stringify(kept));
  } catch {
    // Full or forbidden: the page works without a history.
  }
}

function restore() {
  const interrupted = {
    title: "The upload was interrupted",
    detail: "The page was closed before the server had the image. Choose it again.",
  };
  for (const job of history()) {
    if (!job.id && !finished(job)) Object.assign(job, { phase: "failed", problem: interrupted });
    void run(add(job));
  }
  unsaid.clear(); // old news
  refresh();
}

/** @returns {Job[]} */
function history() {
  try {
    return JSON.parse(sessionStorage.getItem(HISTORY_KEY) ?? "[]");
  } catch {
    return [];
  }
}

/* Start */

function showCommand() {
  const { curl } = commands(BASE.href, "photo.jpg", undefined);
  const button = $("terminal-copy");
  $("terminal-submit").textContent = curl;
  button.addEventListener("click", () => copy(button, curl, "Command", (what) => say("copied", what)));
}

/** Say what the server accepts, as far as it is known. */
async function showLimits() {
  const limits = await knownLimits();
  $("file").accept = acceptable(limits);
  $("formats").textContent = summary(limits) || $("formats").textContent;
  return limits;
}

showCommand();
void showLimits();
void offer($("describer"), [$("describers"), $("wish")]);
$("clear").addEventListener("click", removeFinished);
addEventListener("pagehide", saveNow);
setInterval(() => jobs.forEach(({ job, card }) => finished(job) || card.tick()), TICK_MS);
listen((files) => void take(files), notice);
restore();
