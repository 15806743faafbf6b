/**
 * The objects, labels and faces in the facts of a result. Facts are untrusted, and describers have
 * facts of many forms: whatever does not have the expected form is left out.
 */

import { plural, sanitize } from "./text.js";

/**
 * A box is an area of the upright image: left, top, width and height, as shares of the image's width
 * and height. Without a valid confidence (0 to 1), the confidence is undefined.
 * @typedef {[number, number, number, number]} Box
 * @typedef {{name: string, count: number, confidence?: number, boxes: Box[]}} Thing
 * @typedef {{name: string, confidence?: number, parents: string[]}} Label
 * @typedef {{things: Thing[], labels: Label[], faces: Thing | undefined}} Findings
 */

const MAX_BOXES = 100; // of all things together, because more would hide the picture
const MAX_ROWS = 40; // a detector knows about 80 kinds of things
const MAX_PARENTS = 4;
const MAX_COUNT = 100_000;
const MAX_NAME_CHARACTERS = 64;
const ROUNDING = 0.01; // a box may extend this far beyond the image

/**
 * Return what the facts say about the content of the image, or null if they do not have the form of
 * such findings. For example, describers of cloud services report labels without parents, and a
 * number of faces: their descriptions contain all of that in words.
 * @param {unknown} facts @returns {Findings | null}
 */
export function findingsOf(facts) {
  const { objects, labels, faces, pictureKind } = record(facts);
  const things = list(objects).map(thing).filter(isPresent).slice(0, MAX_ROWS);
  const names = list(labels).map(label).filter(isPresent).slice(0, MAX_ROWS);
  const face = thing({ ...record(faces), name: "face" });

  if (typeof pictureKind !== "string" && !things.length && !names.length && !face) return null;
  return { things, labels: names, faces: face };
}

/** Return the boxes to show, each with its name, the largest first. @param {Findings} findings */
export function boxesOf({ things, faces }) {
  const all = [...things, faces].filter(isPresent);
  const named = all.flatMap(({ name, boxes }) => boxes.map((box) => ({ name, box })));
  return named.slice(0, MAX_BOXES).sort((one, other) => area(other.box) - area(one.box));
}

/** Return the thing with its count, as in "2 people". @param {Thing} thing */
export function counted({ name, count }) {
  const several = plural(name);
  if (count === 1) return several === name ? name : `1 ${name}`; // no "1 scissors"
  return `${count.toLocaleString("en")} ${several}`;
}

/** @param {unknown} value @returns {Thing | undefined} */
function thing(value) {
  const { name, count, confidence, boxes } = record(value);
  const shown = text(name);
  if (!shown || !Number.isInteger(count) || count < 1 || count > MAX_COUNT) return undefined;
  return { name: shown, count, confidence: share(confidence), boxes: list(boxes).map(box).filter(isPresent) };
}

/** @param {unknown} value @returns {Label | undefined} */
function label(value) {
  const { name, confidence, parents } = record(value);
  const shown = text(name);
  if (!shown || !Array.isArray(parents)) return undefined;
  return { name: shown, confidence: share(confidence), parents: parents.map(text).filter(Boolean).slice(0, MAX_PARENTS) };
}

/** Return the box, cut off at the edges of the image. @param {unknown} value @returns {Box | undefined} */
function box(value) {
  const shares = list(value).map(share);
  if (shares.length !== 4 || !shares.every(isPresent)) return undefined;

  const [left, top, width, height] = shares;
  if (!width || !height || left + width > 1 + ROUNDING || top + height > 1 + ROUNDING) return undefined;
  return [left, top, Math.min(width, 1 - left), Math.min(height, 1 - top)];
}

/** @param {unknown} value @returns {number | undefined} */
function share(value) {
  return typeof value === "number" && value >= 0 && value <= 1 ? value : undefined; // NaN fails, too
}

/** @param {unknown} value @returns {string} */
function text(value) {
  return typeof value === "string" ? sanitize(value.trim()).slice(0, MAX_NAME_CHARACTERS) : "";
}

/** @param {unknown} value @returns {Record<string, any>} */
const record = (value) => (value && typeof value === "object" ? value : {});

/** @param {unknown} value @returns {unknown[]} */
const list = (value) => (Array.isArray(value) ? value : []);

/** @template T @param {T | undefined} value @returns {value is T} */
const isPresent = (value) => value !== undefined;

/** @param {Box} box */
const area = ([, , width, height]) => width * height;
