/** Shows a job as a card. Text from a server or a file is always inserted as text, never as markup. */

import { offerBoxes, setRatio } from "./boxes.js";
import { findingsOf } from "./findings.js";
import { showFindings } from "./findings_list.js";
import { usesKeys } from "./login.js";
import { bytes, commands, parts, sanitize, seconds, sentence } from "./text.js";

/**
 * @typedef {import("./client.js").JobUpdate & {
 *   key: string, idempotencyKey: string, name: string, type: string, size: number, phase: string,
 *   describer?: string, prompt?: string, text?: string, file?: File, thumbnail?: string, elapsed?: number,
 *   problem?: import("./client.js").Problem}} Job
 */

const PHASES = {
  waiting: "Waiting to upload",
  uploading: "Uploading",
  queued: "Queued",
  processing: "Processing",
  done: "Done",
  failed: "Failed",
};
const NOTES = { busy: "The server is busy", lost: "Reconnecting", login: "Log in to continue" };
const COPIED_MS = 1800;
const SHOWN_TEXT_LINES = 6; // as in the style sheet
const LONG_TEXT_CHARACTERS = 400; // about six lines
// If a job failed for one of these reasons, it would fail again with the same image.
const PERMANENT_REASONS = new Set([
  "ImageUnreadable", "ImageTooLarge", "EmptyImage", "UnsupportedFormat", "ContentRefused", "TooManyImages",
]);
const PERMANENT_STATUSES = new Set([400, 413, 415, 422]);

/** @param {Job} job @returns {boolean} */
export const isFinished = (job) => job.phase === "done" || job.phase === "failed";

/** Return whether the server has the job, and only the connection failed. @param {Job} job @returns {boolean} */
export const isResumable = ({ id, problem }) => !!id && !!problem?.temporary;

/** Return whether to offer the button "Try again". @param {Job} job @returns {boolean} */
function canRetry(job) {
  const { reason = "", status = 0 } = job.problem ?? {};
  if (!job.problem || isResumable(job)) return !!job.problem;

  const permanent = PERMANENT_REASONS.has(reason) || (PERMANENT_STATUSES.has(status) && reason !== "UploadBroken");
  return !!job.file && !permanent;
}

/**
 * Return a problem's title. It avoids HTTP's phrases, such as "Unprocessable Content", which only
 * programmers understand.
 * @param {import("./client.js").Problem} problem
 */
export const titleOf = ({ title, reason, status }) => (status && reason ? sentence(reason) : title);

/** Return the title of a note, which explains why a job is waiting. @param {import("./client.js").Note} note */
export function waitTitle({ kind, reason }) {
  return NOTES[kind] ?? (reason ? sentence(reason) : "The server can't answer");
}

/** Return a result's warnings. @param {Record<string, any> | undefined} result @returns {string[]} */
export function warningsOf(result) {
  return Array.isArray(result?.warnings) ? result.warnings.map(String) : [];
}

export class Card {
  /**
   * @param {Job} job
   * @param {{remove: () => void, retry: () => void, announce: (what: string) => void}} on
   */
  constructor(job, on) {
    const template = /** @type {HTMLTemplateElement} */ (document.getElementById("card"));
    this.job = job;
    this.announce = on.announce;
    this.element = /** @type {HTMLElement} */ (document.importNode(template.content, true).firstElementChild);
    this.#head();
    this.#buttons(on);
    this.paint();
  }

  /** @param {string} selector @returns {any} */
  #find(selector) {
    return this.element.querySelector(selector);
  }

  /** Set an element's text. Hide the element if the text is empty. */
  #text(selector, text) {
    const element = this.#find(selector);
    if (element.textContent !== text) element.textContent = text;
    element.hidden = !text;
  }

  #head() {
    const { key, name } = this.job;

    const heading = this.#find("h3");
    heading.id = `job-${key}`;
    this.#find("article").setAttribute("aria-labelledby", heading.id);
    this.#find(".boxes-choice input").setAttribute("aria-describedby", heading.id);
    this.#find(".name").textContent = sanitize(name);
    this.#find(".remove").setAttribute("aria-label", `Remove ${sanitize(name)} from this page`);
  }

  #buttons({ remove, retry }) {
    this.#find(".remove").addEventListener("click", remove);
    this.#find(".retry").addEventListener("click", retry);

    this.#copies(".copy-description", "Description", () => this.job.result?.description);
    this.#copies(".copy-alt", "Alt text", () => this.job.result?.alt);
    this.#copies(".copy-json", "JSON", () => JSON.stringify(this.job.result, null, 2));
    this.#copies(".curl .copy", "Commands", () => this.#find(".curl code").textContent);
    this.#copies(".kubectl .copy", "Commands", () => this.#find(".kubectl code").textContent);

    this.#find(".more").addEventListener("toggle", () => this.#more());
    this.#find(".expand").addEventListener("click", () => this.#expandText());
  }

  /** @param {string} selector @param {string} what @param {() => unknown} read */
  #copies(selector, what, read) {
    const button = this.#find(selector);
    button.addEventListener("click", () => copy(button, String(read() ?? ""), what, this.announce));
  }

  /** @param {Blob} picture */
  show(picture) {
    const image = this.#find(".preview img");
    image.addEventListener("load", () => {
      setRatio(image);
      image.hidden = false;
    });
    image.src = URL.createObjectURL(picture);
  }

  focus() {
    this.#find("h3").focus();
  }

  discard() {
    URL.revokeObjectURL(this.#find(".preview img").src);
    this.element.remove();
  }

  /** Show the current state of the job. */
  paint() {
    const { phase, attempts = 0, problem, result, type, size, id } = this.job;

    this.element.dataset.phase = phase;
    this.#find("article").setAttribute("aria-busy", String(!isFinished(this.job)));
    this.#text(".phase", PHASES[phase] ?? sentence(phase));
    this.#text(".meta", joined(type.replace(/^image\//, "").toUpperCase(), bytes(size), sanitize(id ?? "")));
    this.#text(".attempt", attempts > 1 || (attempts && phase === "processing") ? `attempt ${attempts}` : "");
    this.#find(".attempt").toggleAttribute("data-repeated", attempts > 1);
    this.#find(".retry").hidden = !canRetry(this.job);

    this.#more();
    this.#problem(problem);
    if (result && this.#find(".result").hidden) this.#result(result);
    this.tick();
  }

  /** Update the clock and the countdown. */
  tick() {
    const { startedAt, elapsed, seconds: reported, note } = this.job;
    const now = startedAt ? (Date.now() - startedAt) / 1000 : null;
    const shown = isFinished(this.job) ? (reported ?? elapsed) : now;
    this.#text(".elapsed", shown == null ? "" : seconds(shown));

    this.#find(".note").hidden = !note;
    this.#text(".note-title", note ? `${waitTitle(note)}${countdown(note)}` : "");
    this.#text(".note-detail", note?.detail ?? "");
  }

  /** Update the commands and the JSON, but only while they are open. */
  #more() {
    if (!this.#find(".more").open) return;

    const server = new URL(".", document.baseURI).href;
    const { curl, kubectl } = commands(server, this.job.name, this.job.id, usesKeys());
    this.#find(".curl code").textContent = curl;
    this.#find(".kubectl code").textContent = kubectl;
    this.#find(".kubectl").hidden = this.#find(".hint").hidden = !kubectl;

    this.#find(".json").hidden = !this.job.result;
    this.#find(".json code").textContent = JSON.stringify(this.job.result, null, 2);
  }

  #problem(problem) {
    this.#find(".problem").hidden = !problem;
    if (!problem) return;

    const { title, detail, reason, status, type, id } = problem;
    this.#text(".problem-title", titleOf(problem));
    this.#text(".problem-detail", detail ?? "");

    const specificType = type !== "about:blank" && !type?.endsWith(`:${reason}`) && type;
    const http = status && (reason ? `${status} ${title}` : `HTTP ${status}`);
    this.#text(".problem-code", joined(reason, http, specificType, id && `id ${id}`));
  }

  #result(result) {
    const { description, caption, alt, text, tags, fallback, language } = result;
    this.#find(".result").hidden = false;
    this.#find(".description").replaceChildren(...blocks(this.#untitled(String(description ?? ""))));
    this.#text(".fallback", fallback ? fallbackText(result.describer, fallback) : "");
    this.#warnings(warningsOf(result));

    this.#text(".caption", caption ?? "");
    this.#text(".in-image blockquote", text ?? "");
    this.#find(".in-image").hidden = !text;
    this.#text(".alt p", alt ?? "");
    this.#find(".alt").hidden = this.#find(".copy-alt").hidden = !alt;
    this.#find(".preview img").alt = alt ?? "";
    this.#find(".tags").replaceChildren(...(tags ?? []).map((tag) => make("li", String(tag))));
    this.#find(".tags").hidden = !tags?.length;

    const findings = findingsOf(result.facts);
    if (findings) this.#findings(findings);

    this.#text(".source", source(result));
    this.#setLanguage(String(language ?? "en"));
    this.#find(".copy-description").hidden = this.#find(".copy-json").hidden = false;
  }

  /**
   * Show the sentences first, then what was found, then the text, and the other facts last.
   * @param {import("./findings.js").Findings} findings
   */
  #findings(findings) {
    const { description, text } = this.job.result ?? {};
    const all = this.#untitled(String(description ?? ""));
    const firstFact = all.findIndex(({ kind }) => kind !== "text");
    const end = firstFact < 0 ? all.length : firstFact;
    const [sentences, others] = [all.slice(0, end), all.slice(end)];

    this.#find(".result").toggleAttribute("data-findings", true);
    if (sentences.length) this.#find(".caption").hidden = true; // they say more than the caption
    this.#find(".description").replaceChildren(...blocks(sentences));
    this.#find(".details > div").replaceChildren(...blocks(others));
    this.#find(".details").hidden = !others.length;
    showFindings(this.#find(".findings"), findings);
    offerBoxes(this.#find("article"), findings);

    const long = isLong(String(text ?? ""));
    this.#find(".in-image").toggleAttribute("data-cut", long);
    this.#find(".expand").hidden = !long;
  }

  #expandText() {
    const cut = this.#find(".in-image").toggleAttribute("data-cut");
    const button = this.#find(".expand");
    button.setAttribute("aria-expanded", String(!cut));
    button.textContent = cut ? "Show all text" : "Show less text";
  }

  /** Set the language of the description, so that screen readers pronounce it correctly. @param {string} language */
  #setLanguage(language) {
    for (const selector of [".caption", ".description", ".findings ul", ".details div", ".alt p", ".tags"]) this.#find(selector).lang = language;
  }

  /** @param {string[]} warnings */
  #warnings(warnings) {
    this.#find(".warnings").replaceChildren(...warnings.map((warning) => make("li", warning)));
    this.#find(".warnings").hidden = !warnings.length;
  }

  /** Show the description's title, and return its other parts. @param {string} description */
  #untitled(description) {
    const all = parts(description);
    const titled = all[0]?.kind === "title";
    this.#find(".result-title").textContent = titled ? all[0].text : "Image Description:";
    return titled ? all.slice(1) : all;
  }
}

/**
 * Return a description's elements. Consecutive facts become one definition list, and items one list.
 * @param {ReturnType<typeof parts>} described
 */
function blocks(described) {
  const elements = [];
  for (const { kind, label, text } of described) {
    const tag = { fact: "dl", item: "ul", text: "p" }[kind];
    let block = elements.at(-1);
    if (kind === "text" || block?.localName !== tag) elements.push((block = make(tag)));
    if (kind === "fact") block.append(fact(label ?? "", text));
    else block.append(kind === "item" ? make("li", text) : text);
  }
  return elements;
}

/** Whether only the beginning of the text in an image is shown at first. @param {string} text */
function isLong(text) {
  return text.length > LONG_TEXT_CHARACTERS || text.split("\n").length > SHOWN_TEXT_LINES;
}

/** @param {string} tag @param {string} [text] */
function make(tag, text = "") {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

/** @param {string} label @param {string} value */
function fact(label, value) {
  const pair = make("div");
  pair.append(make("dt", label), make("dd", value));
  return pair;
}

/**
 * Return the time until the next request in words, or "" if no request is planned.
 * @param {import("./client.js").Note} note
 */
function countdown({ until }) {
  if (!until) return "";
  const left = Math.ceil((until - Date.now()) / 1000);
  return left > 0 ? `: next try in ${left} s` : " …";
}

/** Return a sentence about the fallback. Without it, users would not notice an outage. */
function fallbackText(describer, { from, reason }) {
  return `Described by ${describer} as the fallback for ${from}: ${sentence(String(reason))}.`;
}

/** Join all parts of a line that are not empty. @param {unknown[]} words */
function joined(...words) {
  return words.filter(Boolean).join(" · ");
}

/** Return a line with the describer and the model, the time and tokens that they took, and the language. */
function source({ describer, model, seconds: spent, usage, language }) {
  const tokens = usage && `${usage.inputTokens} + ${usage.outputTokens} tokens`;
  const time = typeof spent === "number" && `described in ${seconds(spent)}`;
  return joined(describer, model, time, tokens, language !== "en" && language);
}

/**
 * Copy the text, and report the outcome on the button and to screen readers.
 * @param {HTMLElement} button @param {string} text @param {string} what @param {(words: string) => void} announce
 */
export async function copy(button, text, what, announce) {
  const copied = await toClipboard(text);
  const label = (button.dataset.label ??= button.textContent ?? "");
  button.textContent = copied ? "Copied" : "Copying failed";
  button.toggleAttribute("data-copied", copied);

  announce(copied ? `${what} copied` : `${what} could not be copied`);
  setTimeout(() => {
    button.textContent = label;
    button.removeAttribute("data-copied");
  }, COPIED_MS);
}

/** @param {string} text @returns {Promise<boolean>} */
async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyWithExecCommand(text);
  }
}

/**
 * Copy without navigator.clipboard, which browsers do not offer over plain HTTP except on localhost.
 * @param {string} text
 */
function copyWithExecCommand(text) {
  const before = document.activeElement;

  const area = /** @type {HTMLTextAreaElement} */ (make("textarea"));
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();

  const copied = document.execCommand("copy");
  area.remove();
  if (before instanceof HTMLElement) before.focus();
  return copied;
}
