/** Shows the sheet of every StrengthGrid in its body; a click on a cell marks it as preferred, in the input `marks`. */

import { serverFile } from "./files.mjs";
import { isStale, markedCells, summary, toggled } from "./marks.mjs";
import { addPanel, follow, isDelivered, registerPanels, widgetOf } from "./panel.mjs";
import { WORDS, say } from "./words.mjs";

const PANEL = `
  ${WORDS}
  <div data-part="frame"><div data-part="grid"><img alt="" draggable="false"></div></div>
  <div data-part="summary" role="status"></div>`;

function cellButton([left, top, width, height], name) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.cell = name;
  button.title = name;
  button.setAttribute("aria-label", name);
  const edges = { left, top, width, height };
  for (const [edge, share] of Object.entries(edges)) button.style[edge] = `${100 * share}%`;
  return button;
}

/** The values typed in the node now; those that other nodes deliver are not known. */
function typedIn(node, names) {
  const known = node.widgets.filter(({ name }) => names.includes(name) && !isDelivered(node, name));
  return Object.fromEntries(known.map(({ name, value }) => [name, value]));
}

/** Shows which cells are marked, in gray where the sheet is of other values than those typed now. */
function drawMarks(node, panel, payload, marks) {
  const marked = markedCells(marks);
  const stale = payload !== null && isStale(payload, typedIn(node, Object.keys(payload.typed)));
  panel.dataset.stale = stale;
  for (const button of panel.querySelectorAll("button")) {
    button.setAttribute("aria-pressed", marked.includes(button.dataset.cell));
  }
  panel.querySelector('[data-part="summary"]').textContent = summary(payload, marks, stale);
}

function drawSheet(panel, { image, boxes, names }) {
  const grid = panel.querySelector('[data-part="grid"]');
  const picture = grid.querySelector("img");
  picture.src = serverFile(image);
  picture.onload = () => grid.style.setProperty("--ratio", picture.naturalWidth / picture.naturalHeight);
  grid.replaceChildren(picture, ...boxes.map((box, cell) => cellButton(box, names[cell])));
}

function addMarks(node) {
  const marks = widgetOf(node, "marks");
  const panel = addPanel(node, { name: "sheet", html: PANEL, height: 300, width: 340, styles: ["grid_marks.css"] });
  let shown = null;
  const update = () => drawMarks(node, panel, shown, marks.value);
  panel.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button || isDelivered(node, "marks")) return;
    marks.value = toggled(marks.value, button.dataset.cell);
    marks.callback?.(marks.value);
  });
  for (const widget of node.widgets) follow(widget, "callback", update);
  follow(node, "onConfigure", update);
  update();
  return (payload) => {
    shown = payload;
    say(panel, payload.words);
    drawSheet(panel, payload);
    update();
  };
}

registerPanels({
  extension: "img2imgstudio.gridMarks",
  nodeId: "Img2ImgStrengthGrid",
  payload: "img2img_grid",
  create: addMarks,
});
