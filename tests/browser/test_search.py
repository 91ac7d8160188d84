"""The search of the frontend finds each node by the words that people type for it, among the first five.

Frontend 1.32 knows names alone. Newer ones find by `search_aliases` too, and still put names first.
"""

import pytest
from img2img_studio.dev.frontend import Frontend

FINDS = {
    "denoise": "Strength Scheduler (denoise)",
    "img2img": "Image to Image (All in One)",
    "image to image": "Image to Image (All in One)",
    "inpaint": "Inpaint: Keep Unmasked",
    "inpaint crop": "Inpaint Crop (around the mask)",
    "outpaint": "Outpaint Canvas",
    "upscale": "Upscale",
    "variation": "Variation Batch",
    "invert": "Invert to Noise (DDIM)",
    "noise": "Noise Latent (SDEdit)",
    "batch": "Batch Folder",
    "folder": "Batch Folder",
    "batch folder": "Batch Folder",
    "adjust mask": "Adjust Mask (grow, blur, fill)",
    "compare": "Compare Images (before/after)",
    "before after": "Compare Images (before/after)",
    "color match": "Match Colors",
    "style": "Style Batch",
    "loopback": "Progressive Refine (loopback)",
    "xy plot": "Strength Grid (XY plot)",
    "resize": "Fit Image (resize)",
}


FOLDED_AND_NOT = """kind => {
    app.graph.clear();
    const node = LiteGraph.createNode(kind);
    app.graph.add(node);
    const seen = () => [node.widgets.filter(one => node.isWidgetVisible(one)).map(one => one.name), node.size[1]];
    const folded = seen();
    node.toggleAdvanced();
    return [folded, seen()];
}"""


@pytest.fixture(scope="module")
def tab(browser, server):
    tab = Frontend(browser, server.url)
    tab.open()
    yield tab
    tab.page.close()


@pytest.mark.parametrize("words", FINDS)
def test_the_right_node_is_among_the_first_five(tab, words):
    found = tab.search(words, until=FINDS[words])
    assert FINDS[words] in found[:5]


def test_the_classic_canvas_folds_rare_inputs(tab):
    (few, low), (every, high) = tab.page.evaluate(FOLDED_AND_NOT, "VariationBatch")
    rare = [name for name in every if name not in few]
    assert {"seeds", "batch_limit", "measure"} <= set(rare)
    assert {"count", "strength", "seed", "variations"} <= set(few)
    assert high - low >= 20 * len(rare)
