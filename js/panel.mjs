/** Panels in the bodies of the pack's nodes, in the classic canvas and in Nodes 2.0 alike, and what runs bring to them. */

import { app } from "../../scripts/app.js";

const CANVAS_MARGIN = 20; // what the classic canvas takes off a widget's height, above and below together

/**
 * Adds a panel below the widgets of a node, and gives back its element. It is no part of the prompt or of the workflow file.
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

/** The key of a node in the frontend's table of outputs: its id, inside a subgraph behind that subgraph's. */
export function outputKey(node) {
  return node.graph?.isRootGraph === false ? `${node.graph.id}:${node.id}` : String(node.id);
}

/**
 * Keeps the outputs of a node with its tab. The frontend does so too, but not for a node that has run before the answer
 * to the queue button has arrived.
 */
function keep(node, output) {
  const tracker = app.extensionManager.workflow.activeWorkflow?.changeTracker;
  if (tracker) tracker.nodeOutputs = { ...tracker.nodeOutputs, [outputKey(node)]: output };
}

/**
 * Gives every node of one kind a panel, and brings it what runs send: live, and again when the frontend returns to a
 * tab whose outputs it has kept.
 *
 * extension: the name this is registered under
 * nodeId:    the kind of node
 * payload:   the key under which the node sends what its panel shows; of a list run item by item, the last counts
 * create:    called with each new node; adds its panel, and gives back a function that receives the payload
 */
export function registerPanels({ extension, nodeId, payload, create }) {
  const shown = new Map();
  const deliver = (node, output) => {
    const sent = output?.[payload]?.at(-1);
    if (sent) shown.get(node)?.(sent);
  };
  app.registerExtension({
    name: extension,
    nodeCreated(node) {
      if (node.comfyClass !== nodeId) return;
      const receive = create(node);
      follow(node, "onAdded", () => shown.set(node, receive));
      follow(node, "onRemoved", () => shown.delete(node));
      follow(node, "onExecuted", (output) => {
        keep(node, output);
        deliver(node, output);
      });
    },
    onNodeOutputsUpdated(outputs) {
      for (const node of shown.keys()) deliver(node, outputs[outputKey(node)]);
    },
  });
}
