/** Formats words, numbers and commands. All functions are pure, and use neither the document nor the network. */

/** Format a number of bytes with a decimal unit. @param {number} count @returns {string} */
export function bytes(count) {
  if (count < 1000) return `${count} B`;
  if (count < 1e6) return `${Math.round(count / 1000)} kB`;
  return `${(count / 1e6).toFixed(1)} MB`;
}

/**
 * Format a number of bytes with a binary unit. In these units, limits are round numbers.
 * @param {number} count of bytes
 * @param {(value: number) => number} round Math.floor for a limit, Math.ceil for a size that exceeds it
 */
export function binary(count, round) {
  if (count < 2 ** 10) return `${count.toLocaleString("en")} bytes`;
  const [size, unit] = count < 2 ** 20 ? [2 ** 10, "KiB"] : [2 ** 20, "MiB"];
  return `${round((count / size) * 10) / 10} ${unit}`;
}

/** @param {number} count @returns {string} */
export function pixels(count) {
  return count < 1e6 ? `${count.toLocaleString("en")} pixels` : `${Math.floor(count / 1e5) / 10} megapixels`;
}

/** Join words as in "a, b or c". @param {string[]} words @param {"and" | "or"} last */
export function joinList(words, last) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} ${last} ${words.at(-1)}`;
}

/** The plurals of the names of common things that do not just end in s. @type {Record<string, string>} */
const PLURALS = {
  person: "people", man: "men", woman: "women", child: "children", mouse: "mice", knife: "knives", sheep: "sheep",
  skis: "skis", scissors: "scissors", broccoli: "broccoli", fish: "fish",
};

/** Return the plural of a name, which may have several words: "wine glass" → "wine glasses". @param {string} name */
export function plural(name) {
  const [, start, last] = /^(.*?)(\S*)$/s.exec(name) ?? ["", "", name];
  if (Object.hasOwn(PLURALS, last)) return start + PLURALS[last];
  if (/[^aeiou]y$/.test(last)) return `${name.slice(0, -1)}ies`;
  return /(?:s|x|z|ch|sh)$/.test(last) ? `${name}es` : `${name}s`;
}

/** Format a number of seconds as a duration. @param {number} count @returns {string} */
export function seconds(count) {
  if (count < 1) return `${Math.round(count * 1000)} ms`;
  if (count < 10) return `${count.toFixed(1)} s`;
  if (count < 60) return `${Math.floor(count)} s`;
  return `${Math.floor(count / 60)} min ${Math.floor(count % 60)} s`;
}

/** Convert a reason into words, such as "ImageUnreadable" into "Image unreadable". @param {string} reason */
export function sentence(reason) {
  const words = reason.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * Replace control characters and direction overrides in an untrusted name. Such characters could make
 * the page show a different name, or could control a terminal.
 * @param {string} name
 */
export function sanitize(name) {
  return name.replace(/[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, "\ufffd");
}

/** Quote any text as one word of a POSIX shell. @param {string} word */
export function shellQuote(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Return curl's -F argument for a file. Quote the name if curl might interpret it. @param {string} name */
function formFile(name) {
  const file = sanitize(name);
  return /^[\w./ -]+$/.test(file) ? `file=@${file}` : `file=@"${file.replace(/["\\]/g, "\\$&")}"`;
}

/** curl's argument for an API key, which the reader of the command has in the environment. */
const KEY_HEADER = '-H "Authorization: Bearer $VISION_NODE_API_KEY" ';

/**
 * Return the commands that submit and read the same job from a terminal.
 * @param {string} server its base URL, with a slash at the end
 * @param {string} name the image's file name
 * @param {string | undefined} id the job's id, once the server has assigned one
 * @param {boolean} [withKey] whether the server wants a key
 * @returns {{curl: string, kubectl: string}}
 */
export function commands(server, name, id, withKey = false) {
  const curl = withKey ? `curl ${KEY_HEADER}` : "curl ";
  const submit = `${curl}-F ${shellQuote(formFile(name))} ${shellQuote(`${server}submit`)}`;
  if (!id) return { curl: submit, kubectl: "" };

  const get = (/** @type {string} */ what) => `${curl}${shellQuote(`${server}${what}/${encodeURIComponent(id)}`)}`;
  return {
    curl: [submit, get("status"), get("result")].join("\n"),
    kubectl: [
      `kubectl get imagejob ${shellQuote(sanitize(id))} -o wide`,
      `kubectl wait imagejob ${shellQuote(sanitize(id))} --for=jsonpath='{.status.phase}'=done`,
      `kubectl get imagejob ${shellQuote(sanitize(id))} -o yaml`,
    ].join("\n"),
  };
}

/**
 * Split a description into parts for the page: the title, facts ("- Format: JPEG"), list items and paragraphs.
 * @param {string} description
 * @returns {Array<{kind: "title" | "fact" | "item" | "text", text: string, label?: string}>}
 */
export function parts(description) {
  const [, title, rest] = /^(Image Description:)?([\s\S]*)$/.exec(description.trim()) ?? [];
  const lines = (rest ?? "").split("\n").map((line) => line.trim());
  const found = lines.filter(Boolean).map(part);
  return title ? [{ kind: "title", text: title }, ...found] : found;
}

/** @param {string} line @returns {{kind: "fact" | "item" | "text", text: string, label?: string}} */
function part(line) {
  const [, bullet, text = ""] = /^([-*•]\s+)?(.*)$/s.exec(line) ?? [];
  const [, label, value] = /^([A-Z][\w() /-]{1,28}):\s+(.+)$/s.exec(text) ?? [];
  if (label && value) return { kind: "fact", label, text: value };
  return { kind: bullet ? "item" : "text", text };
}
