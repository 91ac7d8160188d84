"""The subgraph blueprints stand in the node search, and come onto the canvas with the widgets they promise."""

import json
from pathlib import Path

SUBGRAPHS = Path(__file__).resolve().parents[2] / "subgraphs"
# Some frontends put a label beside a widget's name, others in its place.
ON_THE_CANVAS = """() => app.graph.nodes.map(({ title, widgets }) => ({
    title,
    widgets: (widgets ?? []).map(({ label, name }) => label ?? name),
    values: (widgets ?? []).map(widget => widget.value),
}))"""


def test_the_search_finds_them_and_puts_them_on_the_canvas(frontend):
    frontend.open()
    for file in sorted(SUBGRAPHS.glob("*.json")):
        frontend.page.evaluate("() => app.graph.clear()")
        assert file.stem in frontend.search(file.stem, until=file.stem)
        frontend.page.get_by_role("option").filter(has_text=file.stem).first.click()
        frontend.page.wait_for_function("() => app.graph.nodes.length === 1")
        frontend.page.locator("[id^=comfy-vue-node-search-box]").first.wait_for(state="hidden")
        (node,) = frontend.page.evaluate(ON_THE_CANVAS)
        (part,) = json.loads(file.read_text(encoding="ascii"))["nodes"]
        promised = [slot.get("label", slot["name"]) for slot in part["inputs"] if "widget" in slot]
        assert node == {"title": file.stem, "widgets": promised, "values": part["widgets_values"]}
    assert frontend.problems == []
