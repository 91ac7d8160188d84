"""The verdict in the body of Invert to Noise: after a run, after a change of tab, and never part of the workflow."""

import pytest

WORKFLOW = "Invert and reconstruct"
INVERT = "app.graph.nodes.find(node => node.comfyClass === 'DDIMInvert')"
SMALL = """steps => {
    for (const node of app.graph.nodes) {
        const set = (name, value) => {
            const widget = node.widgets?.find(widget => widget.name === name);
            if (widget) widget.value = value;
        };
        if (node.comfyClass === 'DDIMInvert') set('steps', steps);
        if (node.comfyClass === 'Img2ImgFitImage') set('target', 64);
    }
}"""
# The toy in place of the checkpoint that the workflow names.
ON_THE_TOY = """() => {
    const old = app.graph.nodes.find(node => node.comfyClass === 'CheckpointLoaderSimple');
    const toy = LiteGraph.createNode('Img2ImgDemoCheckpoint');
    app.graph.add(toy);
    for (const [slot, output] of old.outputs.entries()) {
        for (const id of [...(output.links ?? [])]) {
            const link = app.graph.getLink(id);
            toy.connect(slot, app.graph.getNodeById(link.target_id), link.target_slot);
        }
    }
    app.graph.remove(old);
}"""


class Panel:
    """What the node shows."""

    def __init__(self, page):
        self.element = page.locator(".img2imgstudio-panel:has([data-part=verdict])")

    def text(self, part: str) -> str:
        return self.element.locator(f"[data-part={part}]").inner_text()

    def wait_for_the_verdict(self) -> None:
        self.element.get_by_text("reproduces your picture").wait_for()


@pytest.fixture
def panel(frontend, vue_nodes):
    frontend.open(WORKFLOW, vue_nodes)
    frontend.page.evaluate(ON_THE_TOY)
    frontend.page.evaluate(SMALL, 3 + vue_nodes)  # not the run that the other renderer has left in the cache
    return Panel(frontend.page)


def test_a_run_brings_it_and_a_change_of_tab_keeps_it(frontend, panel):
    assert panel.text("verdict").startswith("Run once to see")
    assert panel.element.bounding_box()["height"] >= 60
    outputs = frontend.run()
    panel.wait_for_the_verdict()
    (payload,) = next(output["img2img_inversion"] for output in outputs.values() if "img2img_inversion" in output)
    assert panel.text("verdict") == payload["verdict"]["text"]
    assert panel.element.get_attribute("data-level") == payload["verdict"]["level"]
    assert panel.text("error").startswith("Latent error")
    assert panel.text("error").endswith("measured")
    assert panel.text("words").splitlines() == payload["words"]
    assert f"{payload['grade']['model_calls']} more to grade it" in payload["words"][0]
    frontend.page.evaluate("() => app.extensionManager.command.execute('Comfy.NewBlankWorkflow')")
    panel.element.wait_for(state="hidden")
    frontend.page.locator(".workflow-tabs").get_by_text(WORKFLOW).click()
    panel.wait_for_the_verdict()
    assert frontend.problems == []


def test_it_is_no_part_of_the_workflow_or_the_prompt(frontend, panel):
    saved = frontend.page.evaluate(f"{INVERT}.serialize().widgets_values")
    shown = frontend.page.evaluate(f"{INVERT}.widgets.map(widget => widget.name)")
    assert shown[-1] == "verdict"
    assert len(saved) == len(shown) - 1
    prompt = frontend.page.evaluate("async () => (await app.graphToPrompt()).output")
    inputs = next(node["inputs"] for node in prompt.values() if node["class_type"] == "DDIMInvert")
    assert "verdict" not in inputs
