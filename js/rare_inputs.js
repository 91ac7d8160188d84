/**
 * Folds rare inputs on the classic canvas as Nodes 2.0 does, by the canvas's own means: "Show Advanced" in the menu of a
 * node brings them back. ComfyUI tells the canvas of none.
 */

import { app } from "../../scripts/app.js";
import { follow, isDelivered } from "./panel.mjs";

app.registerExtension({
  name: "img2imgstudio.rareInputs",
  nodeCreated(node) {
    if (node.constructor.category?.split("/")[0] !== "img2img") return;
    const rare = node.widgets?.filter((widget) => widget.options?.advanced) ?? [];
    if (rare.length === 0) return;
    for (const widget of rare) widget.advanced = true;
    node.setSize([node.size[0], node.computeSize()[1]]);
    follow(node, "onConfigure", () => (node.showAdvanced ||= rare.some(({ name }) => isDelivered(node, name))));
  },
});
