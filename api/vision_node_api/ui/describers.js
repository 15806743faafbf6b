/** The choice of a way of describing, and a wish for it: offered when there is more than one. */

/**
 * What GET /describers tells of one.
 * @typedef {{name: string, model: string | null, ready: boolean, default: boolean}} Describer
 */

const TIMEOUT_MS = 15_000;

/**
 * Fill the choice, and show it if it is one. Without an answer the server's default describes.
 * @param {HTMLSelectElement} select @param {HTMLElement[]} labels what holds it, and the wish
 */
export async function offer(select, labels) {
  const show = (/** @type {boolean} */ shown) => labels.forEach((label) => (label.hidden = !shown));
  try {
    const response = await fetch("describers", { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS) });
    const { describers } = await response.json();
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
