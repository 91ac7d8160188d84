/**
 * Shows the finished variations in the body of every VariationBatch. A click on a picture enlarges it, one on its seed
 * copies that, and "use" sends it out as the chosen one.
 */

import { smallPicture } from "./files.mjs";
import { addPanel, follow, isDelivered, registerPanels, whileRunning, widgetOf } from "./panel.mjs";
import { columns, lines, merged } from "./variations.mjs";
import { WORDS, say } from "./words.mjs";

const COPIED_MS = 1500;

const PANEL = `
  ${WORDS}
  <div data-part="frame"><div data-part="sheet"></div></div>`;

function button(act, text, title) {
  const element = Object.assign(document.createElement("button"), { type: "button", textContent: text, title });
  element.dataset.act = act;
  return element;
}

function tile({ name, seed, strength, image }) {
  const element = document.createElement("div");
  Object.assign(element.dataset, { part: "tile", name, seed });
  const enlarge = button("enlarge", "", `${name}, strength ${strength}: click to enlarge`);
  const picture = document.createElement(image ? "img" : "i");
  if (image) Object.assign(picture, { src: smallPicture(image), alt: name, draggable: false });
  enlarge.append(picture);
  const copySeed = button("copy", seed, "Click to copy this seed");
  element.append(enlarge, copySeed, button("use", "use", "Send this one out as chosen"));
  return element;
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

async function copySeed(tile, button) {
  const copied = await copy(tile.dataset.seed, tile);
  tile.dataset.copied = copied;
  button.textContent = copied ? "copied" : tile.dataset.seed;
  setTimeout(() => {
    delete tile.dataset.copied;
    button.textContent = tile.dataset.seed;
  }, COPIED_MS);
}

/**
 * What can be scrolled takes the wheel, with which the canvas would zoom; Nodes 2.0 asks for the attribute, and newer
 * ones for the focus as well, which is not taken from what someone is typing in.
 */
function takeWheel(element) {
  const scrolls = () => element.scrollHeight > element.clientHeight;
  element.tabIndex = 0;
  element.addEventListener("pointerenter", () => {
    element.dataset.captureWheel = scrolls();
    if (scrolls() && !document.activeElement?.matches("input, textarea, [contenteditable]")) {
      element.focus({ preventScroll: true });
    }
  });
  element.addEventListener("pointerleave", () => element.blur());
  element.addEventListener("wheel", (event) => scrolls() && event.stopPropagation());
}

function setWidget(widget, value) {
  widget.value = value;
  widget.callback?.(value);
}

/**
 * Chooses a variation by its name, or none where it was chosen already. The seed goes back to that of the sheet and stays
 * there: the next run is to send out one of these, and not one of four new ones.
 */
function choose(node, name, firstSeed) {
  const chosen = widgetOf(node, "chosen");
  if (!chosen || isDelivered(node, "chosen")) return;
  setWidget(chosen, chosen.value === name ? "" : name);
  const [seed, first] = [widgetOf(node, "seed"), Number(firstSeed)];
  if (!seed || isDelivered(node, "seed") || widgetOf(node, "seeds")?.value || !Number.isSafeInteger(first)) return;
  setWidget(seed, first);
  const control = seed.linkedWidgets?.[0];
  if (control) setWidget(control, "fixed");
}

function drawChoice(tiles, chosen) {
  for (const tile of tiles.children) {
    tile.querySelector("[data-act=use]").setAttribute("aria-pressed", tile.dataset.name === chosen);
  }
}

function addSheet(node) {
  const panel = addPanel(node, {
    name: "variations",
    html: PANEL,
    height: 330,
    width: 340,
    styles: ["variation_sheet.css"],
  });
  const tiles = panel.querySelector("[data-part=sheet]");
  let sheet = null;
  say(panel, lines(sheet));
  const update = () => drawChoice(tiles, widgetOf(node, "chosen")?.value);
  const acts = {
    enlarge: (tile) => (tiles.dataset.large = tile.toggleAttribute("data-large") ? "one" : ""),
    copy: copySeed,
    use: (tile) => choose(node, tile.dataset.name, sheet.first_seed),
  };
  tiles.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (button) acts[button.dataset.act](button.parentElement, button);
  });
  takeWheel(tiles);
  follow(widgetOf(node, "chosen"), "callback", update);
  follow(node, "onConfigure", update);
  return (message) => {
    const kept = message.first; // what is shown already stays, and so does where the user has scrolled to
    const known = sheet && JSON.stringify(sheet.items) === JSON.stringify(message.items);
    sheet = merged(sheet ?? { items: [] }, message);
    say(panel, lines(sheet));
    Object.assign(tiles.dataset, { total: sheet.total, columns: columns(sheet.total) });
    if (known) return;
    if (kept === 0) tiles.dataset.large = "";
    tiles.replaceChildren(...[...tiles.children].slice(0, kept), ...sheet.items.slice(kept).map(tile));
    update();
  };
}

registerPanels({
  extension: "img2imgstudio.variationSheet",
  nodeId: "VariationBatch",
  payload: "img2img_variations",
  create: addSheet,
});

whileRunning("img2img.variations", "img2img_variations");
