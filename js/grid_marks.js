/** Shows the sheet of every StrengthGrid in its body; a click on a cell marks it as preferred, in the input `marks`. */

import { smallPicture } from "./files.mjs";
import { isStale, markedCells, summary, toggled } from "./marks.mjs";
import { addPanel, follow, isDelivered, registerPanels, widgetOf } from "./panel.mjs";
import { WORDS, say } from "./words.mjs";

const PANEL = `
  ${WORDS}
  <div data-part="frame"><img alt="" draggable="false" hidden><div data-part="grid"></div></div>
  <div data-part="summary" role="status"></div>`;

/** A part of the sheet; `box` is its left, top, width and height as shares of the sheet's. */
function cutOut(source, [left, top, width, height]) {
  const picture = document.createElement("span");
  const place = (start, length) => `${(100 * start) / (1 - length || 1)}%`;
  picture.style.backgroundImage = `url("${source}")`;
  picture.style.backgroundSize = `${100 / width}% ${100 / height}%`;
  picture.style.backgroundPosition = `${place(left, width)} ${place(top, height)}`;
  return picture;
}

function cellButton(source, box, name, note) {
  const button = Object.assign(document.createElement("button"), { type: "button", title: `${name}: ${note ?? ""}` });
  button.dataset.cell = name;
  button.setAttribute("aria-label", name);
  button.append(cutOut(source, box), text("small", note ?? ""));
  return button;
}

function text(kind, content) {
  return Object.assign(document.createElement(kind), { textContent: content });
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

/** The pictures of the sheet as a table, whose headings and notes stay readable at every size. */
function drawSheet(panel, { image, boxes, names, rows, columns, notes = [] }) {
  const [grid, sheet] = ['[data-part="grid"]', "img"].map((part) => panel.querySelector(part));
  sheet.src = smallPicture(image);
  const [, , width, height] = boxes[0];
  sheet.onload = () => {
    const ratio = (width * sheet.naturalWidth) / (height * sheet.naturalHeight);
    grid.style.setProperty("--ratio", ratio);
  };
  const cells = boxes.map((box, cell) => cellButton(sheet.src, box, names[cell], notes[cell]));
  grid.style.setProperty("--columns", columns.length);
  grid.style.setProperty("--rows", rows.length);
  const lines = rows.map((row, place) => [text("b", row), ...cells.slice(place * columns.length, (place + 1) * columns.length)]);
  grid.replaceChildren(text("b", ""), ...columns.map((column) => text("b", column)), ...lines.flat());
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
