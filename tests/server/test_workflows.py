"""The shipped workflows: what the builder makes of the schemas, valid, tidy, and running on the real server."""

from copy import deepcopy
from itertools import combinations

import numpy as np
import pytest
from comfy_cli.cql.engine import Graph as Schemas
from comfy_cli.link_integrity import broken_link_findings
from comfy_cli.workflow_to_api import convert_ui_to_api
from img2img_studio.dev import workflows
from img2img_studio.dev.api_prompt import on_demo_checkpoint, savers
from img2img_studio.dev.comfyui import ROOT
from img2img_studio.dev.workflows import cards
from PIL import Image, ImageDraw

NAMES = sorted(workflows.WORKFLOWS)


def test_the_folder_holds_the_workflows_and_their_thumbnails():
    expected = {f"{name}.{kind}" for name in NAMES for kind in ("json", "jpg")}
    assert {path.name for path in (ROOT / "workflows").iterdir()} == expected


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_the_builder_makes(server, name):
    shipped = (ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8")
    if not server.host.is_pinned:
        version = server.get("system_stats")["system"]["comfyui_version"]
        pytest.skip(f"the files are written with the pinned ComfyUI; the stock nodes of {version} may differ")
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
def test_it_has_one_seed(server, load_workflow, name):
    """One that is typed; -1 in a Refine Pass is none, and a plain inversion draws nothing."""
    prompt = server.to_prompt(load_workflow(name))
    typed = [
        node["class_type"]
        for node in prompt.values()
        for seed in [node["inputs"].get("value" if node["class_type"] == "PrimitiveInt" else "seed")]
        if isinstance(seed, int) and seed >= 0 and node["class_type"] != "DDIMInvert"
    ]
    assert len(typed) <= 1, typed


@pytest.mark.parametrize("name", NAMES)
def test_its_values_stand_by_their_names_too(server, load_workflow, name):
    for node in load_workflow(name)["nodes"]:
        assert set(node.get("widgets_values_named", {}).values()) <= set(node["widgets_values"])
        known = server.object_info.get(node["type"], {"input": {}})["input"]
        names = {name for group in known.values() for name in group}
        assert set(node.get("widgets_values_named", {})) <= names


@pytest.mark.parametrize("name", NAMES)
def test_app_mode_shows_widgets_and_pictures_that_are_there(load_workflow, name):
    workflow = load_workflow(name)
    nodes = {str(node["id"]): node for node in workflow["nodes"]}
    app = workflow["extra"]["linearData"]
    for node, widget in app["inputs"]:
        (found,) = [entry for entry in nodes[node]["inputs"] if entry["name"] == widget]
        assert found["link"] is None, f"{nodes[node]['type']}.{widget} comes through a link"
    assert app["outputs"]
    assert {nodes[node]["type"] for node in app["outputs"]} <= {"SaveImage", "PreviewImage"}


def test_every_node_of_the_pack_stands_in_a_workflow(load_workflow, pack_ids):
    used = {node["type"] for name in NAMES for node in load_workflow(name)["nodes"]}
    assert set(pack_ids) <= used


FEW = {"steps": 4, "inner_steps": 1, "corrector_steps": 1, "tile": 512}  # and yet every node has its work


@pytest.fixture(scope="module")
def drawing(server, tmp_path_factory):
    """The toy's drawing with a mask painted on it, in the server's input folder."""
    with Image.open(ROOT / "demo" / "drawing.png") as picture:
        alpha = Image.new("L", picture.size, 255)
        ImageDraw.Draw(alpha).rectangle([24, 48, 84, 112], fill=0)
        picture.putalpha(alpha)
        path = tmp_path_factory.mktemp("input") / "drawing.png"
        picture.save(path)
    return server.upload(path)


@pytest.mark.parametrize("name", NAMES)
def test_it_runs(server, load_workflow, drawing, name):
    """On the toy checkpoint in the stock loader's place and its drawing in the example's, in few steps."""
    prompt = on_demo_checkpoint(server.to_prompt(load_workflow(name)))
    for node in prompt.values():
        node["inputs"] |= {key: value for key, value in FEW.items() if isinstance(node["inputs"].get(key), type(value))}
        if node["class_type"] == "LoadImage":
            node["inputs"]["image"] = drawing
        if node["inputs"].get("columns") == "steps":
            node["inputs"]["column_values"] = "2, 3"
    run = server.run(prompt)
    for node in savers(prompt):
        images = server.images(run, node)
        assert images
        assert all(low < high for image in images for low, high in image.getextrema()), "a picture of one color"
    assert not any(text.startswith(("{", "[")) for text in run.texts), "an artist reads pictures and panels, not JSON"


def test_the_controlnet_workflow_runs_with_a_controlnet(server, load_workflow, control_net_name):
    prompt = server.to_prompt(load_workflow("Keep the outlines with ControlNet"))
    without = server.run(on_demo_checkpoint(prompt))
    held = on_demo_checkpoint(prompt, keep_control_net=True)
    loader = next(node for node in held.values() if node["class_type"] == "ControlNetLoader")
    loader["inputs"]["control_net_name"] = control_net_name
    run = server.run(held)
    (saver,) = savers(held)
    assert server.images(run, saver)[0].tobytes() != server.images(without, saver)[0].tobytes()


def test_the_thumbnails_are_small_and_square_and_all_different():
    seen = {}
    for name in NAMES:
        path = ROOT / "workflows" / f"{name}.jpg"
        with Image.open(path) as picture:
            assert picture.format == "JPEG"
            assert picture.size == (cards.SIDE, cards.SIDE)
            seen[name] = np.asarray(picture.convert("L").resize((32, 32)), float)
        assert path.stat().st_size < 100_000
    for (a, one), (b, other) in combinations(seen.items(), 2):
        assert abs(one - other).mean() > 2, f"{a} and {b} look alike"
