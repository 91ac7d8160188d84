/** Says in the body of the inversion nodes how well the picture comes back, after each run. */

import { addPanel, registerPanels } from "./panel.mjs";
import { describe } from "./verdict.mjs";
import { WORDS, say } from "./words.mjs";

const PANEL = `
  <div data-part="verdict"></div>
  <div data-part="error"></div>
  ${WORDS}`;

function draw(panel, payload) {
  const { level, ...texts } = describe(payload);
  panel.dataset.level = level;
  for (const [name, text] of Object.entries(texts)) panel.querySelector(`[data-part="${name}"]`).textContent = text;
  say(panel, payload?.words);
}

function addVerdict(node) {
  const panel = addPanel(node, { name: "verdict", html: PANEL, height: 124, width: 310, styles: ["inversion_verdict.css"] });
  draw(panel, null);
  return (payload) => draw(panel, payload);
}

for (const nodeId of ["DDIMInvert", "Img2ImgNullTextOptimize"]) {
  registerPanels({
    extension: `img2imgstudio.verdict.${nodeId}`,
    nodeId,
    payload: "img2img_inversion",
    create: addVerdict,
  });
}
