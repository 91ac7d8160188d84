"""What the panels in the nodes show is there again after a reload, a change of tab, a cached run, and in a subgraph.

There they also show what a run of the subgraph brings.
"""

import uuid

import pytest

OPEN_ANOTHER = "() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')"
# What each node's panel says, by the node's kind: its texts, and how many pictures and paths are drawn.
SHOWN = """() => Object.fromEntries(app.canvas.graph.nodes.flatMap(node => {
    const panel = node.widgets?.map(widget => widget.element).find(one => one?.matches?.('.img2imgstudio-panel'));
    if (!panel) return [];
    const drawn = [...panel.querySelectorAll('path')].map(path => path.getAttribute('d'));
    return [[node.comfyClass, [panel.textContent, drawn.join(' '), panel.querySelectorAll('img[src]').length]]];
}))"""
RENAME_A_NODE = """() => {
    app.graph.getNodeById(1).title = 'renamed';
    app.extensionManager.workflow.activeWorkflow.changeTracker.checkState();
}"""
UNDO_THE_NAME = """async () => {
    const tracker = app.extensionManager.workflow.activeWorkflow.changeTracker;
    while (app.graph.getNodeById(1).title === 'renamed' && tracker.undoQueue.length) await tracker.undo();
}"""
INTO_A_SUBGRAPH = """() => {
    const nodes = app.graph.nodes.filter(node => node.widgets?.some(
        widget => widget.element?.matches?.('.img2imgstudio-panel')));
    const { node } = app.graph.convertToSubgraph(new Set(nodes));
    app.canvas.openSubgraph(node.subgraph, node);
}"""

MASK_NOTHING = """() => {
    const mask = app.graph.rootGraph.nodes.find(node => node.comfyClass === 'SolidMask');
    mask.widgets.find(widget => widget.name === 'value').value = 0;
}"""


@pytest.fixture
def workflow(request):
    """The nodes with a panel, on the toy, in the form that is queued; ComfyUI knows none of it already."""
    model = {"model": ["1", 0], "positive": ["3", 0]}
    sampling = {"strength": 0.6, "steps": 2, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "seed": 5}
    both = {**model, "negative": ["3", 0], "latent": ["2", 0], "vae": ["1", 2], **sampling}
    image = {name: given for name, given in both.items() if name != "latent"} | {"image": ["1", 3]}
    guided = {name: both[name] for name in ("model", "positive", "negative", "cfg")}
    grid = {"rows": "strength", "row_values": "0.4, 0.8", "columns": "cfg", "column_values": "1, 4"}
    passes = {"latent": ["2", 0], "strengths": "0.6, 0.4", "steps": 2, "sampler_name": "euler", "scheduler": "normal",
              "seed": 5, "seed_mode": "increment", "vae": ["1", 2]}  # fmt: skip
    invert = {"latent": ["2", 0], "scheduler": "normal", "steps": 2, "strength": 1.0, "method": "pinned",
              "corrector_steps": 3, "cfg": 1.0, "seed": 0, "keep_trajectory": True}  # fmt: skip
    tune = {"inversion": ["7", 0], "cfg": 4.0, "inner_steps": 1, "learning_rate": 0.01}
    nodes = {
        "1": ("Img2ImgDemoCheckpoint", {"family": "eps"}),
        "2": ("VAEEncode", {"pixels": ["1", 3], "vae": ["1", 2]}),
        "3": ("CLIPTextEncode", {"clip": ["1", 1], "text": request.node.name}),
        "4": ("StrengthScheduler", {"model": ["1", 0], "scheduler": "karras", "steps": 3, "strength": 0.55}),
        "5": ("VariationBatch", {**both, "count": 2, "variation": 1.0, "batch_limit": 0}),
        "6": ("Img2ImgStrengthGrid", {**both, **grid}),
        "7": ("DDIMInvert", {**model, **invert}),
        "8": ("Img2ImgNullTextOptimize", {**model, **tune}),
        "9": ("SDEditNoise", {"model": ["1", 0], "latent": ["2", 0], "sigmas": ["4", 0], "seed": 5}),
        "10": ("Img2ImgGuidedSampler", {**guided, "latent": ["9", 0], "sigmas": ["4", 0], "sampler_name": "euler"}),
        "11": ("Img2ImgAllInOne", image),
        "12": ("SolidMask", {"value": 1.0, "width": 128, "height": 128}),
        "13": ("Img2ImgKeepUnmasked", {"original": ["1", 3], "edited": ["11", 0], "mask": ["12", 0], "feather": 0}),
        "14": ("Img2ImgCompareImages", {"image_a": ["1", 3], "image_b": ["13", 0]}),
        "15": ("Img2ImgTiledRefine", {**image, "scale": 1.0, "tile": 512, "overlap": 64}),
        "16": ("ProgressiveRefine", {**guided, **passes}),
        "17": ("Img2ImgInversionSampler", {**guided, "inversion": ["7", 0], "preserve": 0.6}),
        "18": ("Img2ImgRestoreDetail", {"original": ["1", 3], "edited": ["11", 0]}),
    }
    results = {"4": 2, "5": 2, "6": 2, "8": 1, "10": 1, "13": 1, "14": 3, "15": 1, "16": 2, "17": 1, "18": 1}
    ends = {str(30 + n): ("PreviewAny", {"source": [node, slot]}) for n, (node, slot) in enumerate(results.items())}
    return {number: {"class_type": kind, "inputs": given} for number, (kind, given) in (nodes | ends).items()}


def shown(frontend, until=None):
    """What the panels show, as soon as it is what is wanted; without a wish, as soon as it rests."""
    last = None
    for _ in range(50):
        now = frontend.page.evaluate(SHOWN)
        if now == (last if until is None else until):
            break
        last = now
        frontend.page.wait_for_timeout(400 if until is None else 100)
    return now


def test_they_show_it_again(frontend, vue_nodes, workflow):
    frontend.open(vue_nodes=vue_nodes)
    frontend.put("4", workflow)
    before = shown(frontend)
    frontend.page.evaluate(RENAME_A_NODE)
    assert len(before) == 14
    frontend.run()
    after = shown(frontend)
    assert [kind for kind, panel in after.items() if panel == before[kind]] == []

    frontend.page.evaluate(UNDO_THE_NAME)
    assert shown(frontend, after) == after, "after a step before the run is undone"

    frontend.page.evaluate(OPEN_ANOTHER)
    frontend.page.wait_for_function("() => app.graph.nodes.length === 0")
    frontend.page.locator(".workflow-tabs").get_by_text("prompt").click()
    assert shown(frontend, after) == after, "after a change of tab"

    frontend.page.reload()
    frontend.wait_until_ready()
    assert shown(frontend, after) == after, "after a reload"

    frontend.put("4", workflow)
    assert [kind for kind, panel in shown(frontend).items() if panel == after[kind]] == []
    frontend.page.evaluate(RENAME_A_NODE)
    frontend.run()
    assert shown(frontend, after) == after, "after a run from ComfyUI's cache"
    frontend.page.evaluate(UNDO_THE_NAME)
    assert shown(frontend, after) == after, "after a step before a run from the cache is undone"

    frontend.page.evaluate(INTO_A_SUBGRAPH)
    assert shown(frontend, after) == after, "in a subgraph"
    frontend.page.evaluate(MASK_NOTHING)
    frontend.run()
    inside = shown(frontend)
    assert [kind for kind, panel in inside.items() if panel == before[kind]] == []
    assert inside["Img2ImgKeepUnmasked"] != after["Img2ImgKeepUnmasked"], "after a run of a subgraph"
    assert "identical" in inside["Img2ImgCompareImages"][0]
    assert frontend.problems == []


def test_a_run_reaches_its_own_tab_alone(frontend, workflow):
    small = {number: workflow[number] for number in ("1", "2", "3", "5", "31")}
    small["5"]["inputs"] |= {"count": 3, "steps": 400, "batch_limit": 1}
    frontend.open()
    frontend.put("5", small)
    graph = frontend.page.evaluate("() => app.graph.serialize()")
    for name in ("first", "second"):
        frontend.load(graph | {"id": str(uuid.uuid4())}, name)
    before = shown(frontend)
    tabs = frontend.page.locator(".workflow-tabs")
    tabs.get_by_text("first").click()
    frontend.page.wait_for_function("() => app.extensionManager.workflow.activeWorkflow.filename === 'first'")
    frontend.press_run()
    while not queued(frontend):
        frontend.page.wait_for_timeout(50)
    tabs.get_by_text("second").click()
    frontend.page.wait_for_function("() => app.extensionManager.workflow.activeWorkflow.filename === 'second'")
    assert queued(frontend), "the run was over too soon to be seen from the other tab"
    while queued(frontend):
        frontend.page.wait_for_timeout(200)
    assert shown(frontend) == before
    tabs.get_by_text("first").click()
    frontend.page.locator(".img2imgstudio-panel").get_by_text("1,200 model calls").wait_for()


def queued(frontend):
    """What the server has still to do."""
    queue = frontend.page.request.get(f"{frontend.url}/api/queue").json()
    return queue["queue_running"] + queue["queue_pending"]
