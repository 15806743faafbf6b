/** What a paste is meant as: a picture alone is taken; text is left alone, also when a picture of it comes along. */

import { typeOf } from "./files.js";

/** What a browser shows nothing of: comments, what is not text, and tags. Unclosed, they reach to the end. */
const UNSEEN = new RegExp(
  [
    String.raw`<!--[\s\S]*?(?:-->|$)`,
    String.raw`<(head|script|style|title|xml)\b[\s\S]*?(?:<\/\1\s*>|$)`,
    String.raw`<[a-z/!?](?:"[^"]*(?:"|$)|'[^']*(?:'|$)|[^"'>])*>?`,
  ].join("|"),
  "gi",
);

/** Blanks and marks without width; U+FFFC stands for a picture in text. */
const BLANK_ENTITIES =
  /&(?:nbsp|ensp|emsp|thinsp|shy|zwj|zwnj|#(?:9|10|13|32|160|8203|65279|65532)|#x(?:a0|200b|feff|fffc));/gi;
const BLANKS = /[\s\u00ad\u200b-\u200d\u2060\ufeff\ufffc]+/g;

/**
 * The pictures that were copied; none if text was. Office programs put a picture of copied text beside it, browsers
 * put markup beside a copied picture, and file managers the names of copied files.
 * @param {DataTransfer} clipboard
 * @returns {File[]}
 */
export function copiedPictures(clipboard) {
  const files = [...clipboard.files];
  const pictures = files.filter((file) => typeOf(file).startsWith("image/"));
  if (!pictures.length) return [];

  const html = clipboard.getData("text/html");
  const lines = clipboard.getData("text/plain").split(/[\r\n\0]+/).map((line) => line.trim());
  const isText = lines.some((line) => !isBlank(line) && !isAddress(line) && !isNameOf(files, line));
  return isText || showsText(html) ? [] : pictures;
}

/** @param {string} text */
const isBlank = (text) => !text.replace(BLANKS, "");

/** Whether it is only where a picture comes from, as some browsers add. @param {string} line */
const isAddress = (line) => /^https?:\/\/\S+$/i.test(line);

/** @param {File[]} files @param {string} line a name, with or without its ending, a path or a file: address */
function isNameOf(files, line) {
  const last = decoded(line).split(/[\\/]/).pop();
  return files.some(({ name }) => last === name || last === name.replace(/\.\w+$/, ""));
}

/** @param {string} address */
function decoded(address) {
  try {
    return decodeURIComponent(address);
  } catch {
    return address; // a percent sign that encodes nothing
  }
}

/** Whether the markup shows words or cells. It is never made part of a document. @param {string} html */
function showsText(html) {
  const hasCells = /<table\b/i.test(html) && !/<img\b/i.test(html);
  return hasCells || !isBlank(html.replace(UNSEEN, "").replace(BLANK_ENTITIES, ""));
}
