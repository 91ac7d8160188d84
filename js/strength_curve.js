/** Draws the live curve in the body of every StrengthScheduler, in the classic canvas and in Nodes 2.0 alike. */

import { app } from "../../scripts/app.js";
import { describe, paths } from "./curve.mjs";
import { estimate, executedSteps } from "./estimate.mjs";

const NODE_ID = "StrengthScheduler";
const OUTPUT_KEY = "img2img_strength";
const SETTINGS = ["scheduler", "steps", "strength", "measure", "step_count"];
const HEIGHT = 200;
const CANVAS_MARGIN = 20; // what the classic canvas takes off a widget's height, above and below together
const LEAST_WIDTH = 310;

const PANEL = `
  <link rel="stylesheet" href="${new URL("./strength_curve.css", import.meta.url).href}">
  <div data-part="entry"></div>
  <div data-part="plot">
    <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
      <path data-path="ground" d="M0 100H100"></path>
      <path data-path="area"></path>
      <path data-path="steps"></path>
      <path data-path="line"></path>
    </svg>
    <span data-part="kept">kept</span>
  </div>
  <div data-part="axis"><span>t 999 noise</span><span>picture t 0</span></div>
  <div data-part="cost"></div>
  <div data-part="source"></div>
  <div data-part="notices"></div>`;

/** Every curve on the canvas as { node, panel, payload, sources }, so that outputs kept by the frontend find their way back. */
const curves = new Set();

function createPanel() {
  const panel = document.createElement("div");
  panel.className = "img2imgstudio-panel widget-expands"; // the latter makes Nodes 2.0 give it the room that is left
  // Nodes 2.0 would collapse an element without a height of its own, also before the style sheet has arrived.
  panel.style.minHeight = `${HEIGHT}px`;
  panel.innerHTML = PANEL;
  // In the classic canvas the panel lies above the canvas; without this, zooming would stop short over it.
  panel.addEventListener("wheel", (event) => LiteGraph.vueNodesMode || app.canvas.processMouseWheel(event));
  return panel;
}

function draw(panel, payload) {
  const part = (name) => panel.querySelector(`[data-part="${name}"]`);
  const { start, ...drawn } = paths(payload);
  for (const [name, path] of Object.entries(drawn)) {
    panel.querySelector(`[data-path="${name}"]`).setAttribute("d", path);
  }
  part("kept").style.width = `${start}%`;
  part("kept").hidden = start < 15;
  const { notices, ...texts } = describe(payload);
  for (const [name, text] of Object.entries(texts)) part(name).textContent = text;
  part("notices").replaceChildren(...notices.map(noticeElement));
}

function noticeElement(text) {
  const element = document.createElement("div");
  element.textContent = text;
  return element;
}

/** The widget values by name; undefined where another node delivers the value, since only a run can tell it then. */
function settingsOf(node) {
  const value = (name) => {
    const slot = node.inputs?.findIndex((input) => input.name === name) ?? -1;
    if (slot >= 0 && node.isInputConnected(slot)) return undefined;
    return node.widgets?.find((widget) => widget.name === name)?.value;
  };
  return Object.fromEntries(SETTINGS.map((name) => [name, value(name)]));
}

/** Whether the last run was made with these settings; a value that comes from another node is taken to be the same. */
function isCurrent(payload, settings) {
  const same = ["scheduler", "strength", "measure", "step_count"].every(
    (name) => settings[name] === undefined || settings[name] === payload[name],
  );
  const stepsKnown = settings.steps !== undefined && settings.strength !== undefined;
  return same && (!stepsKnown || executedSteps(settings) === Math.max(0, payload.sigmas.length - 1));
}

/** The nodes that the inputs come from. */
function sourcesOf(node) {
  return node.inputs.map((_, slot) => node.getInputNode(slot)?.id ?? "").join();
}

/** Another model or another source of a setting makes the last run's numbers worthless, until it is wired back. */
function update({ node, panel, payload, sources }) {
  const settings = settingsOf(node);
  const known = Object.values(settings).every((value) => value !== undefined);
  if (payload && sources === sourcesOf(node) && isCurrent(payload, settings)) draw(panel, payload);
  else draw(panel, known ? estimate(settings) : null);
}

/** Keeps what the server sent after a run; the last one counts where a list was run item by item. */
function receive(curve, output) {
  const payload = output?.[OUTPUT_KEY]?.at(-1);
  if (!payload) return;
  curve.payload = payload;
  curve.sources = sourcesOf(curve.node);
  update(curve);
}

/** Calls `after` behind a callback of this one node or widget, which does its own work first. */
function follow(owner, name, after) {
  const own = owner[name];
  owner[name] = function (...values) {
    const result = own?.apply(this, values);
    after(...values);
    return result;
  };
}

function addCurve(node) {
  const curve = { node, panel: createPanel(), payload: null, sources: "" };
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => HEIGHT + CANVAS_MARGIN };
  const settings = node.widgets.filter((widget) => SETTINGS.includes(widget.name));
  const widget = node.addDOMWidget("curve", "img2imgstudio_curve", curve.panel, options);
  widget.serialize = false; // the option keeps it out of the prompt, this out of the workflow file
  node.setSize([Math.max(node.size[0], LEAST_WIDTH), node.computeSize()[1]]);
  for (const setting of settings) follow(setting, "callback", () => update(curve));
  follow(node, "onConfigure", () => update(curve));
  follow(node, "onConnectionsChange", () => update(curve));
  follow(node, "onExecuted", (output) => receive(curve, output));
  follow(node, "onAdded", () => curves.add(curve));
  follow(node, "onRemoved", () => curves.delete(curve));
  update(curve);
}

/** The key of a node in the frontend's table of outputs: its id, inside a subgraph behind that subgraph's. */
function outputKey(node) {
  return node.graph?.isRootGraph === false ? `${node.graph.id}:${node.id}` : String(node.id);
}

app.registerExtension({
  name: "img2imgstudio.strengthCurve",
  nodeCreated(node) {
    if (node.comfyClass === NODE_ID) addCurve(node);
  },
  onNodeOutputsUpdated(outputs) {
    for (const curve of curves) receive(curve, outputs[outputKey(curve.node)]);
  },
});
