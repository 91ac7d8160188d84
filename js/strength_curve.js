/** Draws the live curve in the body of every StrengthScheduler, in the classic canvas and in Nodes 2.0 alike. */

import { api } from "../../scripts/api.js";
import { lastAsked } from "./asked.mjs";
import { describe, paths } from "./curve.mjs";
import { addPanel, follow, isDelivered, keep, registerPanels, widgetOf } from "./panel.mjs";
import { isMasked, modelOf } from "./upstream.mjs";

const SETTINGS = ["scheduler", "steps", "strength", "measure", "step_count"];
const LAST_TIMESTEP = 999;
/** Under these keys the properties of a node keep its last run, and what decided about the noise levels in it. */
const [RUN, RUN_MODEL] = ["img2img_strength", "img2img_strength_model"];

const PANEL = `
  <div data-part="headline"></div>
  <div data-part="plot" title="Drag to set the strength">
    <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
      <path data-path="ground"></path>
      <path data-path="area"></path>
      <path data-path="steps"></path>
      <path data-path="line"></path>
    </svg>
    <i data-part="handle"></i>
  </div>
  <div data-part="axis"><span>noise</span><span>picture</span></div>
  <div data-part="entry"></div>
  <div data-part="cost"></div>
  <label><span data-part="equal"></span><input type="number" min="0.01" max="1" step="0.01"
    title="The denoise of a KSampler that starts at the same noise level. Type an old workflow's denoise to get its strength."></label>
  <div data-part="source"></div>
  <div data-part="notices"></div>`;

const partOf = (panel, name) => panel.querySelector(`[data-part="${name}"]`);

function drawPaths(panel, payload) {
  const { start, ...drawn } = paths(payload);
  for (const [name, path] of Object.entries(drawn)) {
    panel.querySelector(`[data-path="${name}"]`).setAttribute("d", path);
  }
  const handle = partOf(panel, "handle");
  handle.hidden = start === null;
  if (start) [handle.style.left, handle.style.top] = start.map((share) => `${share}%`);
}

function draw({ node, panel, payload }) {
  drawPaths(panel, payload);
  const { notices, denoise, ...texts } = describe(payload, isMasked(node));
  for (const [name, text] of Object.entries(texts)) partOf(panel, name).textContent = text;
  const field = panel.querySelector("input");
  field.hidden = denoise === null;
  field.parentElement.hidden = !texts.equal;
  if (document.activeElement !== field) field.value = denoise ?? "";
  partOf(panel, "notices").replaceChildren(...notices.map(noticeElement));
}

function noticeElement(text) {
  const element = document.createElement("div");
  element.textContent = text;
  return element;
}

/** The widget values by name; where another node delivers one, that of the last run, if there was one. */
function settingsOf(node, run) {
  const value = (name) => (isDelivered(node, name) ? run?.[name] : widgetOf(node, name)?.value);
  return Object.fromEntries(SETTINGS.map((name) => [name, value(name)]));
}

/** The last run of a node; null before the first one, and once another model is wired. */
function runOf(node) {
  const { [RUN]: run, [RUN_MODEL]: wired } = node.properties;
  const now = modelOf(node);
  return run?.levels && (!now || !wired || now === wired) ? run : null;
}

/** Shows what is known of the settings as they stand, and asks for what is not. */
function update(curve) {
  const run = runOf(curve.node);
  const settings = settingsOf(curve.node, run);
  const asked = JSON.stringify([settings, run]);
  if (asked === curve.asked) return draw(curve); // a mask may have come or gone
  curve.asked = asked;
  const known = Object.values(settings).every((value) => value !== undefined);
  const isRun = run && SETTINGS.every((name) => run[name] === settings[name]);
  if (!known || isRun) {
    curve.payload = known ? { ...run, origin: "run" } : null;
    draw(curve);
  }
  if (known) curve.ask({ ...settings, levels: run?.levels });
}

/** Takes in the server's answer; numbers that a run has given already stay as they are. */
function answered(curve, question, found) {
  const run = runOf(curve.node);
  const isRun = run && SETTINGS.every((name) => run[name] === question[name]);
  const origin = isRun ? "run" : run ? "model" : "estimate";
  curve.payload = found.error ? found : { ...found, ...(isRun ? run : {}), origin, model: run?.model };
  draw(curve);
}

/** Sets strength to where a plan starts: at a `timestep` of the curve, or where a stock `denoise` would. */
async function startAt(curve, start) {
  const run = runOf(curve.node);
  const settings = settingsOf(curve.node, run);
  const widget = widgetOf(curve.node, "strength");
  if (isDelivered(curve.node, "strength") || Object.values(settings).includes(undefined)) return;
  await curve.find({ ...settings, levels: run?.levels, ...start }, ({ strength }) => {
    if (strength === undefined || strength === widget.value) return;
    widget.value = strength;
    widget.callback?.(strength);
  });
}

/** Lets a hand drag the start along the curve. */
function letDrag(curve) {
  const plot = partOf(curve.panel, "plot");
  const follows = (event) => {
    const { left, width } = plot.getBoundingClientRect();
    const across = Math.min(1, Math.max(0, (event.clientX - left) / width));
    startAt(curve, { timestep: LAST_TIMESTEP * (1 - across) });
  };
  plot.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.stopPropagation(); // in Nodes 2.0 it would drag the node
    plot.setPointerCapture(event.pointerId);
    follows(event);
  });
  plot.addEventListener("pointermove", (event) => plot.hasPointerCapture(event.pointerId) && follows(event));
}

/** Lets a hand type an old workflow's denoise. */
function letType(curve) {
  const field = curve.panel.querySelector("input");
  field.addEventListener("pointerdown", (event) => event.stopPropagation());
  field.addEventListener("change", () => field.validity.valid && startAt(curve, { denoise: Number(field.value) }));
  field.addEventListener("blur", () => draw(curve));
}

function addCurve(node) {
  const panel = addPanel(node, { name: "curve", html: PANEL, height: 220, width: 310, styles: ["strength_curve.css"] });
  const curve = { node, panel, payload: null, asked: "" };
  curve.ask = lastAsked("plan", (question, found) => answered(curve, question, found));
  const find = lastAsked("plan", ({ then }, found) => then(found));
  curve.find = (question, then) => find({ ...question, then });
  for (const name of SETTINGS) follow(widgetOf(node, name), "callback", () => update(curve));
  const refresh = () => update(curve);
  for (const event of ["onConfigure", "onConnectionsChange"]) follow(node, event, refresh);
  // Also what other nodes hold counts: another file in the loader, a mask at the sampler.
  follow(node, "onAdded", () => api.addEventListener("graphChanged", refresh));
  follow(node, "onRemoved", () => api.removeEventListener("graphChanged", refresh));
  letDrag(curve);
  letType(curve);
  update(curve);
  return (_, isNew) => {
    if (isNew) keep(node, RUN_MODEL, modelOf(node));
    update(curve);
  };
}

registerPanels({ extension: "img2imgstudio.strengthCurve", nodeId: "StrengthScheduler", payload: RUN, create: addCurve });
