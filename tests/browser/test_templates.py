"""Every shipped workflow opens from ComfyUI's template browser, complete and tidy."""

from itertools import combinations
from pathlib import Path

import pytest

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
pytestmark = pytest.mark.usefixtures("models")
NAMES = sorted(path.stem for path in WORKFLOWS.glob("*.json"))
# Left, top, right, bottom of each node on the canvas, and in the window, with its title.
BOXES = """() => app.graph.nodes.map(({ title, boundingRect: [x, y, width, height] }) => {
    const { scale, offset } = app.canvas.ds;
    const corner = app.canvas.canvas.getBoundingClientRect();
    const box = [x, y, x + width, y + height];
    const start = [corner.left, corner.top];
    return { title, box, seen: box.map((place, axis) => (place + offset[axis % 2]) * scale + start[axis % 2]) };
})"""
BARS = (50, 90, 1600, 890)  # what the frontend's own bars leave of a window of 1600 x 900
# A card has its picture only while it is in view, and pictures that arrive above it push it out of view again.
SHOWS_A_PICTURE = """name => {
    const card = document.querySelector(`[data-testid="template-workflow-${name}"]`);
    // the cards come a page at a time, as the last one is scrolled to
    const last = [...document.querySelectorAll('[data-testid^="template-workflow-"]')].at(-1);
    (card ?? last)?.scrollIntoView({ block: "center" });
    return card?.querySelector("img")?.naturalWidth > 0;
}"""


def test_the_browser_offers_all_of_them_with_a_picture_and_opens_one(frontend):
    frontend.open()
    frontend.browse_templates()
    for name in NAMES:
        frontend.page.wait_for_function(SHOWS_A_PICTURE, arg=name)
        served = frontend.page.request.get(f"{frontend.url}/api/workflow_templates/{frontend.pack}/{name}.jpg")
        assert served.headers["content-type"] == "image/jpeg", f"{name} has no thumbnail"
    frontend.choose_template(NAMES[0])
    assert (frontend.messages(), frontend.problems) == ([], [])


def test_they_open_without_a_complaint_and_in_view(frontend, vue_nodes):
    frontend.page.set_viewport_size({"width": 1600, "height": 900})
    frontend.open(vue_nodes=vue_nodes)
    cut = {}
    for name in NAMES:
        frontend.load(frontend.workflow(name))
        links = frontend.page.evaluate("() => [...app.graph.links.values()].length")
        assert links == len(frontend.workflow(name)["links"]), name
        frontend.page.wait_for_timeout(500)  # a complaint would have shown by now
        assert (frontend.messages(), frontend.problems) == ([], []), name
        nodes = frontend.page.evaluate(BOXES)
        assert overlapping(nodes) == [], name
        cut[name] = cut_off(nodes)
    assert {name: titles for name, titles in cut.items() if titles} == {}


def overlapping(nodes):
    """Titles of nodes that lie on each other."""

    def apart(one, other):
        return one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]

    return [(a["title"], b["title"]) for a, b in combinations(nodes, 2) if not apart(a["box"], b["box"])]


def cut_off(nodes):
    """Titles of nodes that are not wholly in view."""

    def inside(left, top, right, bottom):
        return left >= BARS[0] and top >= BARS[1] and right <= BARS[2] and bottom <= BARS[3]

    return [node["title"] for node in nodes if not inside(*node["seen"])]
