/** Says in the bodies of nodes without pictures of their own what a run took and did. */

import { addPanel, registerPanels } from "./panel.mjs";
import { WORDS, say } from "./words.mjs";

const NODES = [
  "Img2ImgGuidedSampler",
  "Img2ImgInversionSampler",
  "Img2ImgPromptEdit",
  "Img2ImgPromptMask",
  "Img2ImgRestoreDetail",
  "Img2ImgUncropForMask",
];

/** They have something to say only of a mask that does not fit. */
const QUIET_NODES = ["Img2ImgCropForMask", "Img2ImgFitImage", "Img2ImgMatchColors", "Img2ImgUnfitImage"];

function addWords(node) {
  const panel = addPanel(node, { name: "words", html: WORDS, height: 56, width: 310 });
  say(panel, null, "After a run: what it took and did");
  return ({ words }) => say(panel, words);
}

/** The panel comes with its first words; from then on it stands there. */
function addWordsWhenSaid(node) {
  let showWords;
  return ({ words }) => {
    if (words.length && !showWords) showWords = addWords(node);
    showWords?.({ words: words.length ? words : ["The mask fits."] });
  };
}

function register(nodes, create) {
  for (const nodeId of nodes) {
    registerPanels({ extension: `img2imgstudio.words.${nodeId}`, nodeId, payload: "img2img_words", create });
  }
}

register(NODES, addWords);
register(QUIET_NODES, addWordsWhenSaid);
