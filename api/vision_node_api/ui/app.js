/** Runs the page: it manages the jobs of this session, announces changes, and stores the history. */

import { Card, copy, isFinished, isResumable, titleOf, waitTitle, warningsOf } from "./card.js";
import { describe, ProblemError } from "./client.js";
import { showDescribers } from "./describers.js";
import { acceptAttribute, checkFile, limitsText, typeOf } from "./files.js";
import { listen } from "./intake.js";
import { getLimits } from "./limits.js";
import { listenToLogin, showIdentity, usesKeys } from "./login.js";
import { fromText, shrink, toText } from "./preview.js";
import { commands, sanitize } from "./text.js";

/** @typedef {import("./card.js").Job} Job */
/** @typedef {{job: Job, card: Card, stop: AbortController}} Entry */

// The key contains the path, because one site may have several servers under different paths.
const BASE = new URL(".", document.baseURI);
const HISTORY_KEY = `vision-node.jobs ${BASE.pathname}`;
const HISTORY_LENGTH = 50;
const SAVE_DELAY_MS = 300;
const ANNOUNCE_DELAY_MS = 400; // if a job changes several times within this delay, only the last change is announced
const MAX_ANNOUNCED = 3;
const TICK_MS = matchMedia("(prefers-reduced-motion: reduce)").matches ? 1000 : 100;

const $ = (/** @type {string} */ id) => /** @type {any} */ (document.getElementById(id));

/** Jobs by key, oldest first. The page shows the newest first. @type {Map<string, Entry>} */
const jobs = new Map();

/* Jobs */

/** @param {File[]} files */
async function addFiles(files) {
  showNotice("");

  const limits = await showLimits();
  const added = files.map((file) => add(newJob(file, limits)));
  for (const entry of added) void run(entry);

  updatePage();
  added.at(-1)?.card.element.scrollIntoView({ block: "nearest" });
}

/** @param {File} file @param {import("./limits.js").Limits} limits @returns {Job} */
function newJob(file, limits) {
  const { name, size } = file;
  const describer = $("describer").value || undefined;
  const prompt = $("prompt").value.trim() || undefined;
  const text = $("text").value || undefined;
  const keys = { key: randomToken(), idempotencyKey: randomToken() };
  const job = { ...keys, name, size, type: typeOf(file), describer, prompt, text, phase: "waiting", file };

  const problem = checkFile(job, limits);
  return problem ? { ...job, phase: "failed", problem } : job;
}

/** Return a random token. It does not use crypto.randomUUID, which is missing over plain HTTP. */
function randomToken() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @param {Job} job @returns {Entry} */
function add(job) {
  const card = new Card(job, {
    remove: () => remove(entry),
    retry: () => retry(entry),
    announce: (what) => announce("copied", what),
  });
  const entry = { job, card, stop: new AbortController() };

  jobs.set(job.key, entry);
  $("cards").prepend(card.element);
  void preview(entry);
  if (job.problem) announce(job.key, announcementFor(job));
  return entry;
}

/** @param {Entry} entry */
async function run(entry) {
  if (isFinished(entry.job)) return;

  try {
    for await (const changes of describe(entry.job, entry.stop.signal)) update(entry, changes);
  } catch (error) {
    if (entry.stop.signal.aborted) return;
    if (!(error instanceof ProblemError)) throw error;
    update(entry, { phase: "failed", problem: error.problem });
  }
}

/** @param {Entry} entry @param {Partial<Job>} changes */
function update({ job, card }, changes) {
  const before = `${job.phase} ${job.note?.kind}`;

  Object.assign(job, changes);
  if (isFinished(job)) {
    job.note = null;
    job.elapsed = job.startedAt && (Date.now() - job.startedAt) / 1000;
  }
  card.paint();

  if (before === `${job.phase} ${job.note?.kind}`) return;
  announce(job.key, announcementFor(job));
  updatePage();
}

/** @param {Entry} entry */
function discard({ job, card, stop }) {
  stop.abort();
  card.discard();
  jobs.delete(job.key);
}

/** @param {Entry} entry */
function remove(entry) {
  const { nextElementSibling: next, previousElementSibling: previous } = entry.card.element;
  discard(entry);
  updatePage();
  ((next ?? previous)?.querySelector("h3") ?? $("choose")).focus();
}

function removeAll() {
  for (const entry of jobs.values()) discard(entry);
  updatePage();
  saveNow();
}

function removeFinished() {
  for (const entry of jobs.values()) if (isFinished(entry.job)) discard(entry);
  updatePage();
  (jobs.size ? $("jobs-title") : $("choose")).focus();
}

/**
 * Resume the job if the server has it. Otherwise, submit the same image as a new job.
 * @param {Entry} entry
 */
function retry(entry) {
  const { job, card } = entry;
  const fresh = { id: undefined, idempotencyKey: randomToken(), attempts: 0, startedAt: Date.now() };
  Object.assign(job, isResumable(job) ? { phase: "queued" } : { phase: "waiting", ...fresh });
  Object.assign(job, { problem: undefined, seconds: null });

  card.paint();
  card.focus();
  updatePage();
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
    // The browser can't decode the file, so the placeholder remains. Few browsers can decode HEIC and TIFF,
    // some can't decode AVIF, and none can decode a corrupt file.
  }
}

/* Announcements and the page's status */

/** Describe a job's state for screen readers. @param {Job} job */
function announcementFor({ name, phase, note, problem, result }) {
  if (note) return `${sanitize(name)}: waiting. ${waitTitle(note)}.`;
  if (problem) return `${sanitize(name)}: failed. ${titleOf(problem)}. ${problem.detail ?? ""}`;
  return [`${sanitize(name)}: ${phase}.`, result?.caption, ...warningsOf(result)].filter(Boolean).join(" ");
}

/** @type {Map<string, string>} */
const pendingAnnouncements = new Map();

/**
 * Announce the words after a short delay. They replace any pending announcement on the same topic.
 * @param {string} topic @param {string} words
 */
function announce(topic, words) {
  if (!pendingAnnouncements.size) setTimeout(flushAnnouncements, ANNOUNCE_DELAY_MS);
  pendingAnnouncements.set(topic, words);
}

function flushAnnouncements() {
  const words = [...pendingAnnouncements.values()];
  pendingAnnouncements.clear();

  const more = words.length - MAX_ANNOUNCED;
  if (more > 0) words.splice(0, more, `${more} other changes.`);
  $("announcer").textContent = words.join(" ");
}

/** Show a notice, for example about a dropped folder. Hide it if there are no words. @param {string} words */
function showNotice(words) {
  $("notice").textContent = words;
  $("notice").hidden = !words;
  if (words) announce("notice", words);
}

/** Update the parts of the page that depend on all jobs, such as the tally and the title. */
function updatePage() {
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

let saveTimer = 0;

function save() {
  saveTimer ||= setTimeout(saveNow, SAVE_DELAY_MS);
}

function saveNow() {
  clearTimeout(saveTimer);
  saveTimer = 0;

  const newest = [...jobs.values()].slice(-HISTORY_LENGTH);
  const kept = newest.map(({ job }) => ({ ...job, file: undefined, note: undefined }));

  try {
    sessionStorage.setItem(HISTORY_KEY, JSON.stringify(kept));
  } catch {
    // The storage is full or blocked. The page works without a history.
  }
}

function restore() {
  const interrupted = {
    title: "The upload was interrupted",
    detail: "The page was closed before the upload was complete. Choose the image again.",
  };
  for (const job of history()) {
    if (!job.id && !isFinished(job)) Object.assign(job, { phase: "failed", problem: interrupted });
    void run(add(job));
  }

  pendingAnnouncements.clear(); // changes from before the reload are not announced again
  updatePage();
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
  $("terminal-submit").textContent = commands(BASE.href, "photo.jpg", undefined, usesKeys()).curl;
}

function copyCommand() {
  const command = $("terminal-submit").textContent;
  void copy($("terminal-copy"), command, "Command", (what) => announce("copied", what));
}

/** Show the server's limits if they are known, and return them. */
async function showLimits() {
  const limits = await getLimits();
  $("file").accept = acceptAttribute(limits);
  $("formats").textContent = limitsText(limits) || $("formats").textContent;
  return limits;
}

/** Show what the server says about itself and about the user. */
async function showServer() {
  void showDescribers($("describer"), [$("describers"), $("prompt-label"), $("text-label")]);
  const { authentication } = await showLimits();
  if (authentication) await showIdentity();
  showCommand();
}

showCommand();
$("terminal-copy").addEventListener("click", copyCommand);
listenToLogin(() => void showServer(), removeAll, showNotice);
void showServer();
$("clear").addEventListener("click", removeFinished);
addEventListener("pagehide", saveNow);
setInterval(() => jobs.forEach(({ job, card }) => isFinished(job) || card.tick()), TICK_MS);
listen((files) => void addFiles(files), showNotice);
restore();
