/**
 * Decides whether pasted content is images or text. If the clipboard contains text, the page ignores
 * it, even if the clipboard also contains an image of that text.
 */

import { typeOf } from "./files.js";

/** Markup that a browser does not show: comments, invisible elements and tags. If unclosed, it extends to the end. */
const INVISIBLE = new RegExp(
  [
    String.raw`<!--[\s\S]*?(?:-->|$)`,
    String.raw`<(head|script|style|title|xml)\b[\s\S]*?(?:<\/\1\s*>|$)`,
    String.raw`<[a-z/!?](?:"[^"]*(?:"|$)|'[^']*(?:'|$)|[^"'>])*>?`,
  ].join("|"),
  "gi",
);

/** Blanks and characters that have no width. U+FFFC is the placeholder for an image in text. */
const BLANK_ENTITIES =
  /&(?:nbsp|ensp|emsp|thinsp|shy|zwj|zwnj|#(?:9|10|13|32|160|8203|65279|65532)|#x(?:a0|200b|feff|fffc));/gi;
const BLANKS = /[\s\u00ad\u200b-\u200d\u2060\ufeff\ufffc]+/g;

/**
 * Return the images that were copied, or an empty list if text was copied. If text is copied, office
 * programs add an image of it. If images are copied, browsers add markup, and file managers add names.
 * @param {DataTransfer} clipboard
 * @returns {File[]}
 */
export function pastedImages(clipboard) {
  const files = [...clipboard.files];
  const pictures = files.filter((file) => typeOf(file).startsWith("image/"));
  if (!pictures.length) return [];

  const html = clipboard.getData("text/html");
  const lines = clipboard.getData("text/plain").split(/[\r\n\0]+/).map((line) => line.trim());
  const isText = lines.some((line) => !isBlank(line) && !isAddress(line) && !isNameOf(files, line));
  return isText || hasVisibleText(html) ? [] : pictures;
}

/** @param {string} text */
const isBlank = (text) => !text.replace(BLANKS, "");

/** Return whether a line is only the address of an image, which some browsers add. @param {string} line */
const isAddress = (line) => /^https?:\/\/\S+$/i.test(line);

/**
 * Return whether a line is the name of one of the files.
 * @param {File[]} files @param {string} line a name with or without extension, a path or a file: URL
 */
function isNameOf(files, line) {
  const last = decoded(line).split(/[\\/]/).pop();
  return files.some(({ name }) => last === name || last === name.replace(/\.\w+$/, ""));
}

/** @param {string} address */
function decoded(address) {
  try {
    return decodeURIComponent(address);
  } catch {
    return address; // the address has a percent sign that does not encode anything
  }
}

/** Return whether markup contains visible text or table cells. It is not inserted into a document. @param {string} html */
function hasVisibleText(html) {
  const hasCells = /<table\b/i.test(html) && !/<img\b/i.test(html);
  return hasCells || !isBlank(html.replace(INVISIBLE, "").replace(BLANK_ENTITIES, ""));
}
