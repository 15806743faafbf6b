/** Boxes on the preview that show where things were found. They are hidden until the user asks for them. */

import { boxesOf } from "./findings.js";

const COLORS = 7; // in the style sheet
const EDGE = 0.08; // closer to the top or bottom than this, there is no room for a name outside of the box

/**
 * Offer to show the boxes if there are some.
 * @param {HTMLElement} card @param {import("./findings.js").Findings} findings
 */
export function offerBoxes(card, findings) {
  const boxes = boxesOf(findings);
  const choice = /** @type {HTMLElement} */ (card.querySelector(".boxes-choice"));
  choice.hidden = !boxes.length;
  if (!boxes.length) return;

  const list = /** @type {HTMLElement} */ (card.querySelector(".boxes"));
  const names = [...new Set(boxes.map(({ name }) => name))];
  list.replaceChildren(...boxes.map(({ name, box }) => boxElement(name, box, names.indexOf(name))));

  const checkbox = /** @type {HTMLInputElement} */ (choice.querySelector("input"));
  checkbox.addEventListener("change", () => {
    list.hidden = !checkbox.checked;
    card.toggleAttribute("data-boxes", checkbox.checked);
    checkbox.scrollIntoView({ block: "nearest" }); // the preview has another size now
  });
}

/**
 * Tell the style sheet the image's proportions, so that the boxes have the same area as the image.
 * @param {HTMLImageElement} image
 */
export function setRatio(image) {
  const ratio = image.naturalWidth / image.naturalHeight;
  image.parentElement?.style.setProperty("--ratio", String(ratio));
}

/** @param {string} name @param {import("./findings.js").Box} box @param {number} index of the name */
function boxElement(name, [left, top, width, height], index) {
  const item = document.createElement("li");
  Object.assign(item.style, {
    left: percent(left), top: percent(top), width: percent(width), height: percent(height),
  });
  item.dataset.color = String(index % COLORS);
  const isFace = name === "face"; // its name is below, because the name of the person is above
  item.toggleAttribute("data-below", isFace && top + height < 1 - EDGE);
  item.toggleAttribute("data-inside", top < EDGE);
  item.toggleAttribute("data-end", left + width / 2 > 0.5);

  const label = document.createElement("span");
  label.textContent = name;
  item.append(label);
  return item;
}

/** @param {number} share */
const percent = (share) => `${(100 * share).toFixed(2)}%`;
