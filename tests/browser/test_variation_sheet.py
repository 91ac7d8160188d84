"""The sheet in VariationBatch's body: variations as they are finished, enlarged, chosen, and their seeds copied."""

import pytest

SEED = 1234567890
SUMMARIES = """() => {
    const line = document.querySelector('.img2imgstudio-panel [data-part=words]');
    window.summaries = [];
    new MutationObserver(() => window.summaries.push(line.textContent)).observe(line, { childList: true });
}"""
# The whole node in the window, which is too low for it at full size.
WHOLE = """() => {
    app.canvas.ds.scale = 0.6;
    app.canvas.centerOnNode(app.graph.getNodeById(4));
}"""
TELL = "async detail => (await import('/scripts/api.js')).api.dispatchCustomEvent('img2img.variations', detail)"


@pytest.fixture
def workflow(request):
    """Four variations by the toy, one at a time, in the form that is queued; ComfyUI knows none of them already."""
    sampling = {"strength": 0.6, "steps": 2, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal"}
    variations = {
        "model": ["1", 0], "positive": ["3", 0], "negative": ["3", 0], "latent": ["2", 0], "vae": ["1", 2], **sampling,
        "count": 4, "seed": SEED, "variation": 1.0, "batch_limit": 1,
    }  # fmt: skip
    return {
        "1": {"class_type": "Img2ImgDemoCheckpoint", "inputs": {"family": "eps"}},
        "2": {"class_type": "VAEEncode", "inputs": {"pixels": ["1", 3], "vae": ["1", 2]}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": request.node.name}},
        "4": {"class_type": "VariationBatch", "inputs": variations},
        "5": {"class_type": "PreviewAny", "inputs": {"source": ["4", 1]}},
    }


@pytest.fixture
def panel(frontend, vue_nodes, workflow):
    frontend.open(vue_nodes=vue_nodes)
    frontend.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    frontend.put("4", workflow)
    frontend.page.evaluate(WHOLE)
    panel = frontend.page.locator(".img2imgstudio-panel")
    panel.wait_for()
    return panel


def seeds(panel):
    return panel.locator("[data-act=copy]")


def summary(panel):
    return panel.locator("[data-part=words]").inner_text()


def test_variations_appear_as_they_are_finished(frontend, panel):
    assert summary(panel) == "The variations appear here, each with its seed"
    frontend.page.evaluate(SUMMARIES)
    frontend.run()
    panel.get_by_text("8 model calls").wait_for()
    assert frontend.page.evaluate("window.summaries")[:4] == [f"{done} of 4 finished" for done in range(4)]
    assert seeds(panel).all_inner_texts() == [str(SEED + place) for place in range(4)]
    assert panel.locator("[data-part=sheet]").evaluate("sheet => sheet.scrollHeight - sheet.clientHeight") <= 1
    for picture in panel.locator("img").all():
        frontend.page.wait_for_function("image => image.naturalWidth > 0", arg=picture.element_handle())
    assert panel.bounding_box()["height"] >= 150
    assert frontend.problems == []


@pytest.mark.parametrize("has_clipboard", [True, False])
def test_a_click_copies_the_seed(frontend, panel, has_clipboard):
    frontend.page.evaluate(TELL, message(3))
    if not has_clipboard:  # as on a page that came over plain HTTP from another machine
        frontend.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(); }")
    tile = seeds(panel).nth(1)
    tile.click()
    tile.get_by_text("copied").wait_for()
    assert frontend.page.evaluate("() => navigator.clipboard.readText()") == str(SEED + 1)
    tile.get_by_text(str(SEED + 1)).wait_for()
    assert panel.locator("textarea").count() == 0


def message(finished, total=None):
    """What the server sends of variations without pictures."""
    items = [
        {"name": str(SEED + place), "seed": str(SEED + place), "strength": 0.6, "image": None}
        for place in range(finished)
    ]
    return {"node": "4", "total": total or finished, "first": 0, "items": items}


def test_a_long_list_scrolls_inside_the_node(frontend, panel):
    height = panel.bounding_box()["height"]
    frontend.page.evaluate(TELL, message(99, 100))
    assert summary(panel) == "99 of 100 finished"
    assert seeds(panel).count() == 99
    assert panel.bounding_box()["height"] == pytest.approx(height, abs=1)
    sheet = panel.locator("[data-part=sheet]")
    scale = frontend.page.evaluate("() => app.canvas.ds.scale")
    sheet.hover()
    frontend.page.mouse.wheel(0, 300)
    frontend.page.wait_for_function("sheet => sheet.scrollTop > 0", arg=sheet.element_handle())
    assert frontend.page.evaluate("() => app.canvas.ds.scale") == scale


def widget(frontend, name):
    return frontend.page.evaluate(
        "name => app.graph.getNodeById(4).widgets.find(widget => widget.name === name).value", name
    )


def test_one_is_enlarged_and_one_is_chosen_for_the_next_run(frontend, panel):
    frontend.run()
    panel.get_by_text("8 model calls").wait_for()
    tile = panel.locator("[data-part=tile]").nth(2)
    width = "tile => tile.offsetWidth"  # before any zoom of the canvas, which may still be coming to rest
    small = tile.evaluate(width)
    tile.locator("img").click()
    assert panel.locator("[data-part=tile]").nth(0).is_hidden()
    assert tile.evaluate(width) > 1.8 * small
    tile.locator("img").click()
    assert tile.evaluate(width) == small
    assert widget(frontend, "seed") != SEED  # the frontend has drawn another one for the next run
    tile.get_by_text("use").click()
    assert (widget(frontend, "chosen"), widget(frontend, "seed")) == (str(SEED + 2), SEED)
    assert tile.get_by_text("use").get_attribute("aria-pressed") == "true"
    frontend.run()
    panel.get_by_text("Nothing new to sample").wait_for()
    panel.get_by_text(f"{SEED + 2} goes on as chosen").wait_for()
    assert widget(frontend, "seed") == SEED
    tile.get_by_text("use").click()
    assert widget(frontend, "chosen") == ""
    assert frontend.problems == []


def test_it_is_no_part_of_the_workflow_or_the_prompt(frontend, panel):
    frontend.page.evaluate(TELL, message(3))
    saved = frontend.page.evaluate("() => app.graph.getNodeById(4).serialize().widgets_values")
    shown = frontend.page.evaluate("() => app.graph.getNodeById(4).widgets.map(widget => widget.name)")
    assert shown[-1] == "variations"
    assert len(saved) == len(shown) - 1
    assert "variations" not in frontend.page.evaluate("async () => (await app.graphToPrompt()).output['4'].inputs")


def test_it_survives_a_change_of_tab(frontend, panel):
    frontend.run()
    panel.get_by_text("8 model calls").wait_for()
    frontend.page.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    panel.wait_for(state="hidden")
    frontend.page.locator(".workflow-tabs").get_by_text("prompt").click()
    panel.get_by_text("8 model calls").wait_for()
    assert seeds(panel).count() == 4
