/** The choice of a way of describing: offered when there is more than one. */

/**
 * What GET /describers tells of one.
 * @typedef {{name: string, model: string | null, ready: boolean, default: boolean}} Describer
 */

/**
 * Fill the choice, and show it if it is one. Without an answer the server's default describes.
 * @param {HTMLSelectElement} select @param {HTMLElement} label what holds it
 */
export async function offer(select, label) {
  try {
    const response = await fetch("describers", { cache: "no-store" });
    const { describers } = await response.json();
    select.replaceChildren(...describers.map(option));
    label.hidden = describers.length < 2;
  } catch {
    label.hidden = true;
  }
}

/** @param {Describer} describer */
function option({ name, model, ready, default: chosen }) {
  const words = [name, model && `(${model})`, !ready && "– not ready"];
  return new Option(words.filter(Boolean).join(" "), name, chosen, chosen);
}
