/** Shows the finished variations with their seeds in the body of every VariationBatch; a click copies a seed. */

import { serverFile } from "./files.mjs";
import { addPanel, registerPanels, whileRunning } from "./panel.mjs";
import { merged, summary } from "./variations.mjs";

const COPIED_MS = 1500;

const PANEL = `
  <div data-part="summary" role="status"></div>
  <div data-part="sheet"></div>`;

function tile({ seed, strength, image }) {
  const button = document.createElement("button");
  button.type = "button";
  button.title = `Seed ${seed}, strength ${strength}: click to copy the seed`;
  button.dataset.seed = seed;
  const picture = document.createElement(image ? "img" : "i");
  if (image) Object.assign(picture, { src: serverFile(image), alt: "", draggable: false });
  const label = document.createElement("span");
  label.textContent = seed;
  button.append(picture, label);
  return button;
}

/** Puts a text on the clipboard; `parent` lies in the page and lends its room where the browser has no clipboard. */
async function copy(text, parent) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    parent.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    return copied;
  }
}

async function copySeed(button) {
  const label = button.querySelector("span");
  const copied = await copy(button.dataset.seed, button);
  button.dataset.copied = copied;
  label.textContent = copied ? "copied" : button.dataset.seed;
  setTimeout(() => {
    delete button.dataset.copied;
    label.textContent = button.dataset.seed;
  }, COPIED_MS);
}

/** What can be scrolled takes the wheel, with which the canvas would zoom; Nodes 2.0 asks for the attribute. */
function takeWheel(element) {
  const scrolls = () => element.scrollHeight > element.clientHeight;
  element.addEventListener("pointerenter", () => (element.dataset.captureWheel = scrolls()));
  element.addEventListener("wheel", (event) => scrolls() && event.stopPropagation());
}

function addSheet(node) {
  const panel = addPanel(node, {
    name: "variations",
    html: PANEL,
    height: 240,
    width: 310,
    styles: ["variation_sheet.css"],
  });
  const [line, tiles] = panel.querySelectorAll("[data-part]");
  let sheet = null;
  line.textContent = summary(sheet);
  tiles.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (button) copySeed(button);
  });
  takeWheel(tiles);
  return (message) => {
    const kept = message.first; // what is shown already stays, and so does where the user has scrolled to
    sheet = merged(sheet ?? { items: [] }, message);
    line.textContent = summary(sheet);
    tiles.replaceChildren(...[...tiles.children].slice(0, kept), ...sheet.items.slice(kept).map(tile));
  };
}

registerPanels({
  extension: "img2imgstudio.variationSheet",
  nodeId: "VariationBatch",
  payload: "img2img_variations",
  create: addSheet,
});

whileRunning("img2img.variations", "img2img_variations");
