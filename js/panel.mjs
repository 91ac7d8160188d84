/** Panels in the bodies of the pack's nodes, in the classic canvas and in Nodes 2.0 alike, and what runs bring to them. */

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const CANVAS_MARGIN = 20; // what the classic canvas takes off a widget's height, above and below together

/**
 * Adds a panel below the widgets of a node, and gives back its element. The panel is no part of the prompt or of the
 * workflow file; what it shows is kept in the node's properties.
 *
 * name:   of its widget, once in a node
 * html:   what it holds at first
 * height: in pixels, the least it gets
 * width:  in pixels, the least the node gets
 * styles: file names of further style sheets beside this file
 */
export function addPanel(node, { name, html, height, width = 0, styles = [] }) {
  const panel = document.createElement("div");
  panel.className = "img2imgstudio-panel widget-expands"; // the latter makes Nodes 2.0 give it the room that is left
  // Nodes 2.0 would collapse an element without a height of its own, also before the style sheet has arrived.
  panel.style.minHeight = `${height}px`;
  panel.innerHTML = ["panel.css", ...styles].map(styleLink).join("") + html;
  // In the classic canvas the panel lies above the canvas; without this, zooming would stop short over it.
  panel.addEventListener("wheel", (event) => LiteGraph.vueNodesMode || app.canvas.processMouseWheel(event));
  const options = { serialize: false, hideOnZoom: false, getMinHeight: () => height + CANVAS_MARGIN };
  const widget = node.addDOMWidget(name, `img2imgstudio_${name}`, panel, options);
  widget.serialize = false; // the option keeps it out of the prompt, this out of the workflow file
  node.setSize([Math.max(node.size[0], width), node.computeSize()[1]]);
  return panel;
}

function styleLink(file) {
  return `<link rel="stylesheet" href="${new URL(`./${file}`, import.meta.url).href}">`;
}

/** Calls `after` behind a callback of this one node or widget, which does its own work first. */
export function follow(owner, name, after) {
  const own = owner[name];
  owner[name] = function (...values) {
    const result = own?.apply(this, values);
    after(...values);
    return result;
  };
}

/** A widget of a node by its name. */
export const widgetOf = (node, name) => node.widgets?.find((widget) => widget.name === name);

/** Whether another node delivers an input, so that its widget says nothing. */
export function isDelivered(node, name) {
  const slot = node.inputs?.findIndex((input) => input.name === name) ?? -1;
  return slot >= 0 && Boolean(node.graph) && node.isInputConnected(slot);
}

/** The key of a node in the frontend's table of outputs: its id, inside a subgraph behind that subgraph's. */
export function outputKey(node) {
  return node.graph?.isRootGraph === false ? `${node.graph.id}:${node.id}` : String(node.id);
}

/** The node that the server calls by this id; inside subgraphs, the ids of all on the way down stand before it. */
function nodeAt(id) {
  const way = String(id).split(":");
  const last = way.pop();
  const graph = way.reduce((outer, part) => outer?.getNodeById(part)?.subgraph, app.graph.rootGraph);
  return graph?.getNodeById(last);
}

/**
 * Whether a run of this workflow's id is one of the workflow on the canvas. ComfyUI sends what a run has to tell to every
 * tab; in another one, a node of the same id is another node.
 */
const isHere = (workflow) => !workflow || workflow === app.graph.rootGraph.id;

/** Whether the run of another tab has brought an output: ComfyUI keeps it for that one, and still hands it to this one. */
function isOfAnotherTab(output) {
  const { openWorkflows, activeWorkflow } = app.extensionManager.workflow;
  const plain = (object) => object?.__v_raw ?? object; // without the frontend's watch over it
  return openWorkflows.some(
    ({ path, changeTracker }) =>
      path !== activeWorkflow?.path &&
      Object.values(changeTracker?.nodeOutputs ?? {}).some((kept) => plain(kept) === plain(output)),
  );
}

/** A saved workflow with one property of one node set. */
function withProperty(saved, { id, graph }, name, value) {
  // A canvas made of a prompt has texts for ids, of which newer frontends save numbers.
  const isIt = (node) => String(node.id) === String(id);
  const set = (nodes) =>
    nodes?.map((node) => (isIt(node) ? { ...node, properties: { ...node.properties, [name]: value } } : node));
  if (graph?.isRootGraph !== false) return { ...saved, nodes: set(saved.nodes) };
  const subgraphs = saved.definitions?.subgraphs?.map((one) => (one.id === graph.id ? { ...one, nodes: set(one.nodes) } : one));
  return { ...saved, definitions: { ...saved.definitions, subgraphs } };
}

/**
 * Keeps a payload in the properties of its node, which are saved with the workflow. What a run shows is no step that the
 * user would want to undo, or that undoing an earlier one should take away, so the open tab gets it into all its states.
 * Returns whether it is another one than before.
 */
export function keep(node, name, payload) {
  if (JSON.stringify(node.properties[name]) === JSON.stringify(payload)) return false;
  node.properties[name] = payload;
  const tracker = app.extensionManager.workflow.activeWorkflow?.changeTracker;
  if (!tracker?.activeState) return true;
  for (const states of [tracker.undoQueue, tracker.redoQueue]) {
    states?.forEach((state, place) => (states[place] = withProperty(state, node, name, payload)));
  }
  tracker.activeState = withProperty(tracker.activeState, node, name, payload);
  tracker.updateModified();
  return true;
}

/** The panels of each node on a canvas: under which key their payload comes, and what shows it. */
const panels = new Map();

/** Shows what a node has sent, and keeps it. `fresh`: by a run, and not by the frontend's memory of one. */
function deliver(node, output, fresh) {
  for (const { payload, show } of panels.get(node) ?? []) {
    const sent = output?.[payload]?.at(-1);
    if (sent) show(sent, keep(node, payload, sent) || fresh);
  }
}

/** ComfyUI says nothing of nodes that it takes from its cache, unless a run ends in them; so their last word is asked for. */
async function deliverCached({ nodes, prompt_id }) {
  const ours = nodes.filter((id) => panels.has(nodeAt(id)));
  if (ours.length === 0) return;
  const body = JSON.stringify({ prompt_id, nodes: ours });
  const answer = await api.fetchApi("/img2img_studio/shown", { method: "POST", body });
  if (!answer.ok) return;
  const { workflow, shown } = await answer.json();
  if (!isHere(workflow)) return;
  for (const [id, output] of Object.entries(shown)) deliver(nodeAt(id), output, true);
}

api.addEventListener("execution_cached", ({ detail }) => deliverCached(detail));

/** Calls `show` with what the server tells of a node while it runs, under an event of the pack's own; none of it is kept. */
export function whileRunning(event, payload) {
  api.addEventListener(event, ({ detail }) => {
    if (!isHere(detail.workflow)) return;
    for (const panel of panels.get(nodeAt(detail.node)) ?? []) if (panel.payload === payload) panel.show(detail);
  });
}

/**
 * Gives every node of one kind a panel, and brings it what runs send: live, from ComfyUI's cache, and again when the
 * workflow comes back, from the node's properties.
 *
 * extension: the name this is registered under
 * nodeId:    the kind of node
 * payload:   the key under which the node sends what its panel shows, and under which its properties keep it; of a list
 *            run item by item, the last counts
 * create:    called with each new node; adds its panel, and gives back a function that shows a payload; its second
 *            argument says whether that is news of a run
 */
export function registerPanels({ extension, nodeId, payload, create }) {
  app.registerExtension({
    name: extension,
    nodeCreated(node) {
      if (node.comfyClass !== nodeId) return;
      const panel = { payload, show: create(node) };
      const showKept = () => node.properties[payload] && panel.show(node.properties[payload]);
      follow(node, "onAdded", () => panels.set(node, [...(panels.get(node) ?? []), panel]));
      follow(node, "onRemoved", () => panels.delete(node));
      follow(node, "onConfigure", showKept);
      follow(node, "onExecuted", (output) => {
        if (isOfAnotherTab(output)) delete app.nodeOutputs[outputKey(node)];
        else deliver(node, { [payload]: output?.[payload] }, true);
      });
    },
    onNodeOutputsUpdated(outputs) {
      for (const node of panels.keys()) {
        if (node.comfyClass === nodeId) deliver(node, { [payload]: outputs[outputKey(node)]?.[payload] }, false);
      }
    },
  });
}
