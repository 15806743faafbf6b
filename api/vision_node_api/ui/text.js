/** Words, numbers and commands: pure functions that know neither document nor network. */

/** @param {number} count @returns {string} */
export function bytes(count) {
  if (count < 1000) return `${count} B`;
  if (count < 1e6) return `${Math.round(count / 1000)} kB`;
  return `${(count / 1e6).toFixed(1)} MB`;
}

/**
 * In the units in which limits are round numbers.
 * @param {number} count of bytes
 * @param {(value: number) => number} round Math.floor for a limit, Math.ceil for what exceeds it
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

/** "a, b or c". @param {string[]} words @param {"and" | "or"} last */
export function listed(words, last) {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} ${last} ${words.at(-1)}`;
}

/** @param {number} count @returns {string} */
export function seconds(count) {
  if (count < 1) return `${Math.round(count * 1000)} ms`;
  if (count < 10) return `${count.toFixed(1)} s`;
  if (count < 60) return `${Math.floor(count)} s`;
  return `${Math.floor(count / 60)} min ${Math.floor(count % 60)} s`;
}

/** "ImageUnreadable" → "Image unreadable". @param {string} reason */
export function sentence(reason) {
  const words = reason.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * A foreign name without control characters and direction overrides, which could fake another name on the
 * page or act in a terminal.
 * @param {string} name
 */
export function tame(name) {
  return name.replace(/[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu, "\ufffd");
}

/** One word of a POSIX shell, whatever is in it. @param {string} word */
export function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** What `curl -F` wants for a file: it reads `;` and `,` in a bare name as its own. @param {string} name */
function formFile(name) {
  const file = tame(name);
  return /^[\w./ -]+$/.test(file) ? `file=@${file}` : `file=@"${file.replace(/["\\]/g, "\\$&")}"`;
}

/**
 * The same job from a terminal.
 * @param {string} server its base URL, with a slash at the end
 * @param {string} name the image's file name
 * @param {string | undefined} id the job, once the server has named it
 * @returns {{curl: string, kubectl: string}}
 */
export function commands(server, name, id) {
  const submit = `curl -F ${quoted(formFile(name))} ${quoted(`${server}submit`)}`;
  if (!id) return { curl: submit, kubectl: "" };
  const get = (/** @type {string} */ what) => `curl ${quoted(`${server}${what}/${encodeURIComponent(id)}`)}`;
  return {
    curl: [submit, get("status"), get("result")].join("\n"),
    kubectl: [
      `kubectl get imagejob ${quoted(tame(id))} -o wide`,
      `kubectl wait imagejob ${quoted(tame(id))} --for=jsonpath='{.status.phase}'=done`,
      `kubectl get imagejob ${quoted(tame(id))} -o yaml`,
    ].join("\n"),
  };
}

/**
 * A description in parts that a page can show: its title, facts ("- Format: JPEG"), list items, paragraphs.
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
