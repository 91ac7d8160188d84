/**
 * Folds rare inputs on the classic canvas as Nodes 2.0 does, by the canvas's own means: "Show Advanced" in the menu of a
 * node brings them back. ComfyUI tells the canvas of none.
 */

import { app } from "../../scripts/app.js";
import { follow, isDelivered } from "./panel.mjs";

const NO_ROOM = () => [0, -4]; // the canvas adds 4 to the height of each widget, also of one that it does not draw

function fold(node, widget) {
  let ownSize = widget.computeSize;
  widget.advanced = true;
  Object.defineProperty(widget, "computeSize", {
    get: () => (node.showAdvanced ? ownSize : NO_ROOM),
    set: (computeSize) => (ownSize = computeSize),
    configurable: true,
  });
}

app.registerExtension({
  name: "img2imgstudio.rareInputs",
  nodeCreated(node) {
    if (node.constructor.category?.split("/")[0] !== "img2img") return;
    const rare = node.widgets?.filter((widget) => widget.options?.advanced) ?? [];
    if (rare.length === 0) return;
    for (const widget of rare) fold(node, widget);
    node.setSize([node.size[0], node.computeSize()[1]]);
    follow(node, "onConfigure", () => (node.showAdvanced ||= rare.some(({ name }) => isDelivered(node, name))));
  },
});
