/** What can be read off a graph before it runs: which model reaches a node, and whether a mask guards its picture. */

const LONGEST_WAY = 100;

const slotsOf = (node, type) => (node.inputs ?? []).flatMap((input, slot) => (input.type === type ? [slot] : []));

/** The slot through which a node takes on what it passes on as `type`; a reroute has one for everything. */
function wayIn(node, type) {
  const [slot] = slotsOf(node, type);
  if (slot !== undefined) return slot;
  return node.inputs?.length === 1 && node.inputs[0].type === "*" ? 0 : -1;
}

/**
 * What decides about the noise levels of the model that reaches a node: its loader with the names in it, and ComfyUI's
 * ModelSampling nodes with their values. Null where the way leads out of a subgraph, or the node is in no graph.
 */
export function modelOf(node) {
  if (!node.graph) return null;
  const found = [];
  let at = node;
  for (let hop = 0; hop < LONGEST_WAY; hop++) {
    const slot = wayIn(at, "MODEL");
    const values = (at.widgets ?? []).map((widget) => widget.value);
    if (slot < 0) found.push(at.type, ...values.filter((value) => typeof value === "string"));
    else if (at.type?.startsWith("ModelSampling")) found.push(at.type, ...values);
    if (slot < 0 || !at.isInputConnected(slot)) return JSON.stringify(found);
    at = at.getInputNode(slot);
    if (!at) return null;
  }
  return null;
}

/** Whether a sampler below a node paints under a mask: one of its own, or one that its latent brings along. */
export function isMasked(node, hops = LONGEST_WAY) {
  const users = node.graph ? (node.outputs ?? []).flatMap((_, slot) => node.getOutputNodes(slot) ?? []) : [];
  return users.some((user) => hasMask(user, hops));
}

function hasMask(node, hops) {
  if (!node || hops === 0) return false;
  if (slotsOf(node, "MASK").some((slot) => node.isInputConnected(slot))) return true;
  return slotsOf(node, "LATENT").some((slot) => hasMask(node.getInputNode(slot), hops - 1));
}
