"""The sheet in StrengthGrid's body: a click marks a cell, in the input that the report counts from."""

import json
import re

import pytest

NODE = "app.graph.getNodeById(4)"
AFTER_RUN = (
    ("Img2ImgStrengthGrid", "seed", "fixed"),
    ("DDIMInvert", "seed", "fixed"),
    ("Img2ImgFolderImage", "index", "increment"),
)
TYPE = f"""([name, text]) => {{
    const widget = {NODE}.widgets.find(widget => widget.name === name);
    widget.value = text;
    widget.callback?.(text);
}}"""
MARKS = f"() => {NODE}.widgets.find(widget => widget.name === 'marks').value"


@pytest.fixture
def workflow(request):
    """Two strengths by two values of cfg, on the toy, in the form that is queued; ComfyUI knows none of it already."""
    grid = {
        "model": ["1", 0], "positive": ["3", 0], "negative": ["3", 0], "latent": ["2", 0], "vae": ["1", 2],
        "rows": "strength", "row_values": "0.4, 0.8", "columns": "cfg", "column_values": "1, 4", "strength": 0.6,
        "steps": 2, "cfg": 1.0, "sampler_name": "euler", "scheduler": "normal", "seed": 5,
    }  # fmt: skip
    return {
        "1": {"class_type": "Img2ImgDemoCheckpoint", "inputs": {"family": "eps"}},
        "2": {"class_type": "VAEEncode", "inputs": {"pixels": ["1", 3], "vae": ["1", 2]}},
        "3": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": request.node.name}},
        "4": {"class_type": "Img2ImgStrengthGrid", "inputs": grid},
        "5": {"class_type": "PreviewAny", "inputs": {"source": ["4", 2]}},
    }


@pytest.fixture
def panel(frontend, vue_nodes, workflow):
    frontend.open(vue_nodes=vue_nodes)
    frontend.put("4", workflow)
    panel = frontend.page.locator(".img2imgstudio-panel")
    panel.wait_for()
    return panel


def pressed(panel):
    return [button.get_attribute("aria-pressed") == "true" for button in panel.locator("button").all()]


def test_a_click_marks_a_cell_and_the_report_counts_it(frontend, panel):
    assert "The sheet appears here" in panel.inner_text()
    frontend.run()
    cells = panel.locator("button")
    cells.first.wait_for()
    assert cells.count() == 4
    assert cells.nth(3).get_attribute("aria-label") == "strength 0.8, cfg 4"
    picture = panel.locator("img")
    frontend.page.wait_for_function("image => image.naturalWidth > 0", arg=picture.element_handle())
    within(cells.nth(3).bounding_box(), panel.bounding_box())
    assert (
        cells.nth(3)
        .get_by_text(re.compile(r"^0\.\d\d, \d+\.\d s$"))
        .evaluate("text => text.scrollWidth <= text.clientWidth")
    )
    for cell in (3, 1, 0, 1):
        cells.nth(cell).click()
    assert pressed(panel) == [True, False, False, True]
    assert frontend.page.evaluate(MARKS) == "strength 0.8, cfg 4 | strength 0.4, cfg 1"
    tally = panel.locator("[data-part=summary]")
    assert tally.inner_text() == "2 marks: strength 0.4 × 1, strength 0.8 × 1; cfg 1 × 1, cfg 4 × 1"
    report = json.loads(frontend.run()["5"]["text"][0])
    assert report["marks"] == {"strength": {"0.4": 1, "0.8": 1}, "cfg": {"1.0": 1, "4.0": 1}}
    assert (report["runs"], report["reused"], report["model_calls"]) == (4, 4, 0)
    assert pressed(panel) == [True, False, False, True]
    assert "4 of them kept from before" in panel.locator("[data-part=words]").inner_text()
    frontend.page.evaluate(TYPE, ["column_values", "4, 8"])
    assert panel.get_attribute("data-stale") == "true"
    assert "the values have changed" in tally.inner_text()
    frontend.run()
    panel.get_by_text("1 mark on values that are not here").wait_for()
    assert panel.get_attribute("data-stale") == "false"
    assert pressed(panel) == [False, False, True, False]
    assert frontend.problems == []


def within(inner, outer):
    for place, length in (("x", "width"), ("y", "height")):
        assert inner[place] >= outer[place] - 1
        assert inner[place] + inner[length] <= outer[place] + outer[length] + 1


def test_marks_are_saved_with_the_workflow_and_the_sheet_is_not(frontend, panel):
    names = "strength 0.4, cfg 4 | strength 0.8, cfg 1 | strength 0.8, cfg 4"
    frontend.page.evaluate(
        f"() => {{ const marks = {NODE}.widgets.find(widget => widget.name === 'marks');"
        f" marks.value = '{names}'; marks.callback?.(marks.value); }}"
    )
    frontend.run()
    panel.locator("button").first.wait_for()
    assert pressed(panel) == [False, True, True, True]
    saved = frontend.page.evaluate(f"() => {NODE}.serialize().widgets_values")
    shown = frontend.page.evaluate(f"() => {NODE}.widgets.map(widget => widget.name)")
    assert shown[-1] == "sheet"
    assert len(saved) == len(shown) - 1
    assert saved[shown.index("marks")] == names
    assert "sheet" not in frontend.page.evaluate("async () => (await app.graphToPrompt()).output['4'].inputs")


def test_new_nodes_keep_the_seed_and_take_the_next_picture(frontend):
    frontend.open()
    for kind, name, after in AFTER_RUN:
        value = frontend.page.evaluate(
            """([kind, name]) => {
                const node = LiteGraph.createNode(kind);
                app.graph.add(node);
                return node.widgets.find(widget => widget.name === name).linkedWidgets[0].value;
            }""",
            [kind, name],
        )
        assert value == after, kind
    frontend.load(frontend.workflow("A whole folder"))
    loaded = "() => app.graph.nodes.find(node => node.comfyClass === 'Img2ImgFolderImage').serialize().widgets_values"
    assert frontend.page.evaluate(loaded)[2] == "increment"
