/**
 * Says aloud what ComfyUI only marks in red: a missing wire in one part of a workflow, while another part of it ran.
 * Where nothing can run, ComfyUI opens a dialog, and nothing is added to it; newer frontends say it of a part, too.
 */

import { api } from "../../scripts/api.js";
import { app } from "../../scripts/app.js";

const LONGEST_SHOWN = 30_000; // milliseconds
const OWN_WORDS = '[data-testid="error-overlay"]'; // what newer frontends show themselves
const UNTIL_DRAWN = 500; // milliseconds

app.registerExtension({
  name: "img2imgstudio.brokenGraph",
  setup() {
    api.addEventListener("promptQueued", () => {
      const errors = Object.entries(app.lastNodeErrors ?? {});
      if (!errors.length || !partRan(errors) || !app.graph.nodes.some(isOurs)) return;
      const detail = errors.flatMap(([id, { class_type, errors }]) => errors.map((error) => line(id, class_type, error)));
      setTimeout(() => document.querySelector(OWN_WORDS) || warn(detail.join("\n")), UNTIL_DRAWN);
    });
  },
});

function warn(detail) {
  const summary = "Part of this workflow cannot run";
  app.extensionManager.toast.add({ severity: "error", summary, detail, life: LONGEST_SHOWN });
}

/** Whether an output of the graph does not hang on any of the nodes with errors. */
function partRan(errors) {
  const broken = new Set(errors.flatMap(([, { dependent_outputs }]) => dependent_outputs.map(String)));
  return app.graph.nodes.some(
    (node) => node.mode === 0 && node.constructor.nodeData?.output_node && !broken.has(String(node.id)),
  );
}

function isOurs(node) {
  return node.constructor.category?.split("/")[0] === "img2img";
}

/** "VAE Decode, vae: Required input is missing" */
function line(id, kind, { message, details, extra_info }) {
  const node = app.graph.getNodeById(id);
  const name = extra_info?.input_name;
  const input = node?.inputs?.find((input) => input.name === name);
  const label = input?.localized_name || input?.label || name;
  const title = node?.title ?? LiteGraph.registered_node_types[kind]?.title ?? kind;
  const more = details && details !== name ? ` (${details})` : "";
  return `${title}${label ? `, ${label}` : ""}: ${message}${more}`;
}
