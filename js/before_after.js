/** Shows pictures before and after in the bodies of nodes, with a slider between them and a view of their difference. */

import { caption, placeOf } from "./compare.mjs";
import { smallPicture } from "./files.mjs";
import { addPanel, registerPanels } from "./panel.mjs";
import { WORDS, say } from "./words.mjs";

/** The nodes: what stands in their panels before the first run, and what their two pictures are called. */
const NODES = {
  Img2ImgAllInOne: ["After a run: your picture before and after", "before", "after"],
  Img2ImgKeepUnmasked: ["After a run: what changed, and the proof that the rest did not", "before", "after"],
  Img2ImgCompareImages: ["After a run: both pictures, and how far they are apart", "a", "b"],
  Img2ImgTiledRefine: ["After a run: the picture only enlarged, and refined", "enlarged", "refined"],
  ProgressiveRefine: ["After a run: the picture before, and after each pass", "before", "after"],
  SDEditNoise: ["After a run: the picture, and what the noise leaves of it", "picture", "noised"],
};

const PANEL = `
  ${WORDS}
  <div data-part="frame">
    <div data-part="stage" hidden>
      <img data-image="before" alt="before" draggable="false">
      <img data-image="after" alt="after" draggable="false">
      <img data-image="difference" alt="difference" draggable="false">
      <input type="range" min="0" max="100" step="0.1" value="50" aria-label="before or after">
    </div>
  </div>
  <div data-part="choices"></div>`;

function choice(text, pressed, click) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: text });
  button.setAttribute("aria-pressed", pressed);
  button.addEventListener("click", click);
  return button;
}

/** Shows one pair; the choice of another, and of the other view, stands below where there is one. */
function draw(panel, state) {
  const { payload, place, differs } = state;
  const stage = panel.querySelector('[data-part="stage"]');
  const pair = payload.pairs[place];
  stage.hidden = !pair;
  panel.querySelector('[data-part="choices"]').replaceChildren(...choices(panel, state));
  if (!pair) return;
  stage.dataset.view = differs ? "difference" : "slider";
  stage.dataset.caption = caption(pair);
  for (const image of stage.querySelectorAll("img")) {
    const source = smallPicture(pair[image.dataset.image]);
    if (image.getAttribute("src") !== source) image.src = source;
  }
}

function choices(panel, state) {
  const { pairs } = state.payload;
  const change = (changes) => draw(panel, Object.assign(state, changes));
  const choosePair = ({ name }, place) => choice(name, place === state.place, () => change({ place }));
  const others = pairs.length > 1 ? pairs.map(choosePair) : [];
  const difference = choice("difference", state.differs, () => change({ differs: !state.differs }));
  return pairs.length > 0 ? [...others, difference] : [];
}

function addBeforeAfter(node) {
  const panel = addPanel(node, { name: "before_after", html: PANEL, height: 240, width: 310, styles: ["before_after.css"] });
  const stage = panel.querySelector('[data-part="stage"]');
  const slider = stage.querySelector("input");
  const state = { payload: { pairs: [] }, place: 0, differs: false };
  const gone = ["ComfyUI has been restarted and its small pictures are gone: run again to see them"];
  const [hint, left, right] = NODES[node.comfyClass];
  say(panel, null, hint);
  Object.assign(stage.dataset, { left, right });
  slider.addEventListener("input", () => stage.style.setProperty("--cut", `${slider.value}%`));
  const before = stage.querySelector('[data-image="before"]');
  before.addEventListener("load", () => stage.style.setProperty("--ratio", before.naturalWidth / before.naturalHeight));
  before.addEventListener("error", () => {
    stage.hidden = true;
    say(panel, [...state.payload.words, ...gone]);
  });
  return (payload) => {
    const shown = state.payload.pairs[state.place]?.name;
    Object.assign(state, { payload, place: placeOf(payload, shown) });
    say(panel, payload.words);
    draw(panel, state);
  };
}

for (const nodeId of Object.keys(NODES)) {
  registerPanels({
    extension: `img2imgstudio.beforeAfter.${nodeId}`,
    nodeId,
    payload: "img2img_before_after",
    create: addBeforeAfter,
  });
}
