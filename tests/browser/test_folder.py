"""Batch Folder says how many pictures there are as soon as it knows its folder."""

from PIL import Image

SET = """([name, value]) => {
    const widget = app.graph.getNodeById(1).widgets.find(one => one.name === name);
    widget.value = value;
    widget.callback?.(value);
}"""


def test_it_counts_before_the_first_run_and_as_it_is_typed(server, frontend, vue_nodes):
    place = server.folder / "input" / "counted"
    place.mkdir(parents=True, exist_ok=True)
    for name in ("a.png", "b.png", "c.jpg"):
        Image.new("RGB", (8, 8), "red").save(place / name)
    frontend.open(vue_nodes=vue_nodes)
    inputs = {"folder": "counted", "index": 1, "pattern": "*", "skip_done": False, "saved_as": ""}
    frontend.put("1", {"1": {"class_type": "Img2ImgFolderImage", "inputs": inputs}})
    shown = frontend.page.locator(".img2imgstudio-panel")
    shown.filter(has_text="3 pictures").filter(has_text="Next: 2, b.png").wait_for()
    for name, value, said in (("pattern", "*.png", "2 pictures"), ("folder", "../..", "is no folder inside")):
        frontend.page.evaluate(SET, [name, value])
        shown.filter(has_text=said).wait_for()
    assert frontend.problems == []
