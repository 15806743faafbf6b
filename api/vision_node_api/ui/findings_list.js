/** The lists of what was found in an image: things with their count, and labels, each with its confidence. */

import { counted } from "./findings.js";

/** @typedef {import("./findings.js").Findings} Findings */

/** Show the findings, and hide what is empty. @param {HTMLElement} element @param {Findings | null} findings */
export function showFindings(element, findings) {
  const { things = [], labels = [], faces } = findings ?? {};
  const found = [...things, ...(faces ? [faces] : [])];

  fill(element, ".things", found.map((thing) => row(counted(thing), thing.confidence)));
  fill(element, ".labels", labels.map(({ name, confidence, parents }) => row(name, confidence, parents)));
  element.hidden = !found.length && !labels.length;
}

/** @param {HTMLElement} element @param {string} selector @param {HTMLElement[]} rows */
function fill(element, selector, rows) {
  const section = /** @type {HTMLElement} */ (element.querySelector(selector));
  section.querySelector("ul")?.replaceChildren(...rows);
  section.hidden = !rows.length;
}

/**
 * @param {string} words @param {number | undefined} confidence
 * @param {string[]} parents what the named thing is a kind of, the nearest first
 */
function row(words, confidence, parents = []) {
  const item = document.createElement("li");
  const name = span("what", words);
  item.append(name);
  if (parents.length) name.append(" ", span("parents", parents.join(" › ")));
  if (confidence !== undefined) item.append(bar(confidence), span("percent", `${Math.round(100 * confidence)}\u00a0%`));
  return item;
}

/** @param {number} confidence */
function bar(confidence) {
  const fill = span("", "");
  fill.style.width = `${100 * confidence}%`;

  const track = span("meter", "");
  track.setAttribute("aria-hidden", "true"); // the percentage next to it says the same
  track.append(fill);
  return track;
}

/** @param {string} name @param {string} text */
function span(name, text) {
  const element = document.createElement("span");
  if (name) element.className = name;
  element.textContent = text;
  return element;
}
