/** Shows the sheet of every StrengthGrid in its body; a click on a cell marks it as preferred, in the input `marks`. */

import { serverFile } from "./files.mjs";
import { markedCells, summary, toggled } from "./marks.mjs";
import { addPanel, follow, registerPanels } from "./panel.mjs";

const PANEL = `
  <div data-part="summary" role="status"></div>
  <div data-part="frame"><div data-part="grid"><img alt="" draggable="false"></div></div>`;

function cellButton([left, top, width, height], name, cell) {
  const button = document.createElement("button");
  button.type = "button";
  button.dataset.cell = cell;
  button.title = name;
  button.setAttribute("aria-label", name);
  const edges = { left, top, width, height };
  for (const [edge, share] of Object.entries(edges)) button.style[edge] = `${100 * share}%`;
  return button;
}

/** Shows which cells are marked. */
function drawMarks(panel, marks) {
  const marked = new Set(markedCells(marks.value));
  const buttons = [...panel.querySelectorAll("button")];
  const pressed = buttons.filter((button) => marked.has(Number(button.dataset.cell)));
  for (const button of buttons) button.setAttribute("aria-pressed", pressed.includes(button));
  panel.querySelector('[data-part="summary"]').textContent = summary(buttons.length, pressed.length);
}

function drawSheet(panel, { image, boxes, names }) {
  const grid = panel.querySelector('[data-part="grid"]');
  const picture = grid.querySelector("img");
  picture.src = serverFile(image);
  picture.onload = () => grid.style.setProperty("--ratio", picture.naturalWidth / picture.naturalHeight);
  grid.replaceChildren(picture, ...boxes.map((box, cell) => cellButton(box, names[cell], cell)));
}

/** Whether another node delivers the marks, so that a click cannot change them. */
function isDelivered(node, name) {
  return node.isInputConnected(node.inputs?.findIndex((input) => input.name === name) ?? -1);
}

function addMarks(node) {
  const marks = node.widgets.find((widget) => widget.name === "marks");
  const panel = addPanel(node, { name: "sheet", html: PANEL, height: 260, width: 340, styles: ["grid_marks.css"] });
  const update = () => drawMarks(panel, marks);
  panel.addEventListener("click", ({ target }) => {
    const button = target.closest("button");
    if (!button || isDelivered(node, "marks")) return;
    marks.value = toggled(marks.value, Number(button.dataset.cell));
    marks.callback?.(marks.value);
  });
  follow(marks, "callback", update);
  follow(node, "onConfigure", update);
  update();
  return (payload) => {
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
