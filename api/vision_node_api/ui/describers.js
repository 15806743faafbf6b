/** Shows a list of describers and their options, but only if the server has several describers. */

import { getJson } from "./login.js";

/**
 * A describer in the response to GET /describers.
 * @typedef {{name: string, model: string | null, ready: boolean, default: boolean}} Describer
 */

const TIMEOUT_MS = 15_000;

/**
 * Fill the list of describers, and show it if it has several entries. If the server does not respond,
 * the list remains hidden, and images are submitted to the default describer.
 * @param {HTMLSelectElement} select @param {HTMLElement[]} labels of the list and of the options
 */
export async function showDescribers(select, labels) {
  const show = (/** @type {boolean} */ shown) => labels.forEach((label) => (label.hidden = !shown));
  try {
    const { describers } = await getJson("describers", TIMEOUT_MS);
    select.replaceChildren(...describers.map(option));
    show(describers.length > 1);
  } catch {
    show(false);
  }
}

/** @param {Describer} describer */
function option({ name, model, ready, default: chosen }) {
  const words = [name, model && `(${model})`, !ready && "– not ready"];
  return new Option(words.filter(Boolean).join(" "), name, chosen, chosen);
}
