/** Draws the live curve in the body of every StrengthScheduler, in the classic canvas and in Nodes 2.0 alike. */

import { describe, paths } from "./curve.mjs";
import { estimate, executedSteps } from "./estimate.mjs";
import { addPanel, follow, registerPanels } from "./panel.mjs";

const SETTINGS = ["scheduler", "steps", "strength", "measure", "step_count"];

const PANEL = `
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
  return node.graph ? node.inputs.map((_, slot) => node.getInputNode(slot)?.id ?? "").join() : "";
}

/** Another model or another source of a setting makes the last run's numbers worthless, until it is wired back. */
function update({ node, panel, payload, sources }) {
  const settings = settingsOf(node);
  const known = Object.values(settings).every((value) => value !== undefined);
  if (payload && sources === sourcesOf(node) && isCurrent(payload, settings)) draw(panel, payload);
  else draw(panel, known ? estimate(settings) : null);
}

/** Keeps what the server sent after a run. */
function receive(curve, payload) {
  curve.payload = payload;
  curve.sources = sourcesOf(curve.node);
  update(curve);
}

function addCurve(node) {
  const settings = node.widgets.filter((widget) => SETTINGS.includes(widget.name));
  const panel = addPanel(node, { name: "curve", html: PANEL, height: 200, width: 310, styles: ["strength_curve.css"] });
  const curve = { node, panel, payload: null, sources: "" };
  for (const setting of settings) follow(setting, "callback", () => update(curve));
  follow(node, "onConfigure", () => update(curve));
  follow(node, "onConnectionsChange", () => update(curve));
  update(curve);
  return (payload) => receive(curve, payload);
}

registerPanels({
  extension: "img2imgstudio.strengthCurve",
  nodeId: "StrengthScheduler",
  payload: "img2img_strength",
  create: addCurve,
});
