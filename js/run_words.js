/** Says in the bodies of nodes without pictures of their own what a run took and did. */

import { addPanel, registerPanels } from "./panel.mjs";
import { WORDS, say } from "./words.mjs";

const NODES = [
  "Img2ImgFolderImage",
  "Img2ImgGuidedSampler",
  "Img2ImgInversionSampler",
  "Img2ImgPromptEdit",
  "Img2ImgPromptMask",
  "Img2ImgRestoreDetail",
  "Img2ImgUncropForMask",
];

function addWords(node) {
  const panel = addPanel(node, { name: "words", html: WORDS, height: 56, width: 310 });
  say(panel, null, "After a run: what it took and did");
  return ({ words }) => say(panel, words);
}

for (const nodeId of NODES) {
  registerPanels({ extension: `img2imgstudio.words.${nodeId}`, nodeId, payload: "img2img_words", create: addWords });
}
