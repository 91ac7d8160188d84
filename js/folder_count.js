/** Says in the body of every Batch Folder how many pictures there are, before the first run too, and what is next. */

import { api } from "../../scripts/api.js";
import { lastAsked } from "./asked.mjs";
import { addPanel, follow, isDelivered, registerPanels, widgetOf } from "./panel.mjs";
import { WORDS, say } from "./words.mjs";

const SETTINGS = ["folder", "index", "pattern", "skip_done", "saved_as"];
const PANEL = `<div data-part="folder" role="status"></div>${WORDS}`;

function addCount(node) {
  const panel = addPanel(node, { name: "words", html: PANEL, height: 74, width: 310 });
  const show = (lines) => (panel.querySelector('[data-part="folder"]').innerText = lines.join("\n"));
  const ask = lastAsked("folder", (_, { words, error }) => show(words ?? [error]));
  const refresh = () => {
    if (SETTINGS.some((name) => isDelivered(node, name))) return show(["How many pictures there are shows after a run"]);
    ask(Object.fromEntries(SETTINGS.map((name) => [name, widgetOf(node, name).value])));
  };
  for (const name of SETTINGS) follow(widgetOf(node, name), "callback", refresh);
  for (const event of ["onConfigure", "onConnectionsChange"]) follow(node, event, refresh);
  // A run adds results.
  follow(node, "onAdded", () => api.addEventListener("execution_success", refresh));
  follow(node, "onRemoved", () => api.removeEventListener("execution_success", refresh));
  refresh();
  return ({ words }) => say(panel, words.map((line) => `Last run: ${line}`));
}

registerPanels({
  extension: "img2imgstudio.folderCount",
  nodeId: "Img2ImgFolderImage",
  payload: "img2img_words",
  create: addCount,
});
