"""How the shipped workflows lie on the canvas: in view when opened, legible, and nothing on anything else."""

import json
from itertools import combinations
from pathlib import Path

import pytest

SPREAD = 1.2
FILES = sorted((Path(__file__).resolve().parents[2] / "workflows").glob("*.json"))
# These show a picture of every step, where the user wants that, and grow by it.
SAMPLES = {
    "Img2ImgAllInOne", "Img2ImgGuidedSampler", "Img2ImgInversionSampler", "Img2ImgPromptEdit", "Img2ImgStrengthGrid",
    "Img2ImgTiledRefine", "ProgressiveRefine", "VariationBatch",
}  # fmt: skip


@pytest.fixture(params=FILES, ids=lambda file: file.stem)
def workflow(request):
    return json.loads(request.param.read_text(encoding="utf-8"))


def test_it_is_no_wider_than_a_page(workflow):
    assert max(x + width for x, _, width, _ in (group["bounding"] for group in workflow["groups"])) <= 1500


def test_a_window_shows_all_of_it_with_its_texts(workflow):
    """ComfyUI draws no text below 8 pixels; its font has 14 at full size."""
    view = workflow["extra"]["ds"]
    assert view["scale"] * 14 >= 8
    for x, y, width, height in (group["bounding"] for group in workflow["groups"]):
        left, top = ((place + shift) * view["scale"] for place, shift in zip((x, y), view["offset"], strict=True))
        assert left >= 60  # the side bar
        assert top >= 90  # the bars above
        assert left + width * view["scale"] <= 1600
        assert top + height * view["scale"] <= 900


def test_a_window_shows_its_full_height_where_it_is_spread(workflow):
    """Early frontends with Nodes 2.0 move all nodes apart by a fifth, and make them as much larger."""
    view = workflow["extra"]["ds"]
    first = min(node["pos"][1] for node in workflow["nodes"])
    last = max(node["pos"][1] + node["size"][1] for node in workflow["nodes"])
    assert (first + SPREAD * (last - first) + view["offset"][1]) * view["scale"] <= 900


def test_titles_of_groups_do_not_run_into_the_next_ones(workflow):
    """Their letters are 11 units wide in the mean, at 24 units."""
    for group in workflow["groups"]:
        assert 11 * len(group["title"]) <= group["bounding"][2], group["title"]


def test_nothing_lies_below_what_a_preview_makes_taller(workflow):
    nodes = workflow["nodes"]
    for node in (node for node in nodes if node["type"] in SAMPLES):
        left, top = node["pos"]
        below = [other["type"] for other in nodes if other["pos"][1] > top and abs(other["pos"][0] - left) < 10]
        assert below == []


def test_nothing_overlaps(workflow):
    title = 30  # drawn above a node's position
    boxes = [(*node["pos"], *node["size"], node["type"]) for node in workflow["nodes"]]
    for (ax, ay, aw, ah, a), (bx, by, bw, bh, b) in combinations(boxes, 2):
        apart = ax + aw <= bx or bx + bw <= ax or ay + ah <= by - title or by + bh <= ay - title
        assert apart, f"{a} and {b}"
    for x, y, width, height, kind in boxes:
        inside = [
            group["title"]
            for group in workflow["groups"]
            for gx, gy, gw, gh in [group["bounding"]]
            if gx <= x and gy <= y - title and x + width <= gx + gw and y + height <= gy + gh
        ]
        assert len(inside) == 1, f"{kind} stands in {inside}"
