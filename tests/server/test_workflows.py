"""The shipped workflows: what the builder makes of the schemas, valid, tidy, and running on the real server."""

import json
from copy import deepcopy
from itertools import combinations

import pytest
from comfy_cli.cql.engine import Graph as Schemas
from comfy_cli.link_integrity import broken_link_findings
from comfy_cli.workflow_to_api import convert_ui_to_api
from img2img_studio.dev import workflows
from img2img_studio.dev.api_prompt import on_demo_checkpoint, savers
from img2img_studio.dev.comfyui import ROOT
from PIL import Image

NAMES = sorted(workflows.WORKFLOWS)


def test_the_folder_holds_the_workflows_and_their_thumbnails():
    expected = {f"{name}.{kind}" for name in NAMES for kind in ("json", "jpg")}
    assert {path.name for path in (ROOT / "workflows").iterdir()} == expected


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_the_builder_makes(server, name):
    shipped = (ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8")
    assert shipped == workflows.build(name, server.object_info), "run `python -m nox -s workflows`"


@pytest.fixture(scope="module")
def schemas(server):
    """What comfy-cli knows of the server's nodes, on a machine that has the files which the workflows name."""
    info = deepcopy(server.object_info)
    for kind, label, file in (
        ("CheckpointLoaderSimple", "ckpt_name", workflows.CHECKPOINT["name"]),
        ("ControlNetLoader", "control_net_name", workflows.CONTROL_NET["name"]),
    ):
        info[kind]["input"]["required"][label][0] = [file]
    return Schemas.from_object_info(info)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_valid(schemas, load_workflow, name):
    """What `comfy workflow validate` says of it."""
    workflow = load_workflow(name)
    assert broken_link_findings(workflow) == ([], [])
    findings = schemas.validate_workflow(convert_ui_to_api(workflow, schemas.object_info))
    assert findings["valid"], findings["errors"]
    assert findings["warnings"] == []


@pytest.mark.parametrize("name", NAMES)
def test_it_names_where_its_files_come_from(load_workflow, name):
    for node in load_workflow(name)["nodes"]:
        if node["type"] in ("CheckpointLoaderSimple", "ControlNetLoader"):
            (model,) = node["properties"]["models"]
            assert model["name"] == node["widgets_values"][0]
            assert model["url"].startswith("https://")
            assert model["directory"] in ("checkpoints", "controlnet")


@pytest.mark.parametrize("name", NAMES)
def test_nothing_overlaps(load_workflow, name):
    workflow = load_workflow(name)
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


def test_every_node_of_the_pack_stands_in_a_workflow(load_workflow, pack_ids):
    used = {node["type"] for name in NAMES for node in load_workflow(name)["nodes"]}
    assert set(pack_ids) - used == set()


@pytest.mark.parametrize("name", NAMES)
def test_it_runs(server, load_workflow, name):
    """On the toy checkpoint in place of the stock loader."""
    prompt = on_demo_checkpoint(server.to_prompt(load_workflow(name)))
    run = server.run(prompt)
    for node in savers(prompt):
        images = server.images(run, node)
        assert images
        assert all(low < high for image in images for low, high in image.getextrema()), "a picture of one colour"
    reports = [text for text in run.texts if text.startswith("{")]
    assert all(json.loads(report, parse_constant=pytest.fail) for report in reports)
    shows_a_report = any(node["_meta"]["title"] in ("Report", "What changed where") for node in prompt.values())
    assert reports or not shows_a_report


def test_the_controlnet_workflow_runs_with_a_controlnet(server, load_workflow, control_net_name):
    prompt = server.to_prompt(load_workflow("03_with_controlnet"))
    without = server.run(on_demo_checkpoint(prompt))
    held = on_demo_checkpoint(prompt, keep_control_net=True)
    loader = next(node for node in held.values() if node["class_type"] == "ControlNetLoader")
    loader["inputs"]["control_net_name"] = control_net_name
    run = server.run(held)
    (saver,) = savers(held)
    assert server.images(run, saver)[0].tobytes() != server.images(without, saver)[0].tobytes()


def test_its_thumbnails_are_small_pictures():
    for path in (ROOT / "workflows").glob("*.jpg"):
        with Image.open(path) as picture:
            assert picture.format == "JPEG"
        assert path.stat().st_size < 100_000
