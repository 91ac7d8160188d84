"""The subgraph blueprints: what the builder makes, offered by the server, and running."""

import json

import pytest
from img2img_studio.dev import workflows
from img2img_studio.dev.comfyui import ROOT

NAMES = sorted(workflows.BLUEPRINTS)
# What feeds each type of input: (a node of `FEEDERS`, its output).
SOURCES = {"MODEL": (2, 0), "CLIP": (2, 1), "VAE": (2, 2), "IMAGE": (2, 3), "CONDITIONING": (3, 0), "MASK": (4, 0)}


def read(name):
    return json.loads((ROOT / "subgraphs" / f"{name}.json").read_text(encoding="ascii"))


def node(number, kind, outputs, values, inputs=()):
    slots = [{"name": name, "type": type_, "link": None} for name, type_ in inputs]
    made = [{"name": type_, "type": type_, "links": []} for type_ in outputs]
    place = {"pos": [0, 0], "size": [100, 100], "flags": {}, "order": 0, "mode": 0, "properties": {}}
    return {"id": number, "type": kind, "inputs": slots, "outputs": made, "widgets_values": values, **place}


def wired(blueprint):
    """The blueprint's node on the toy, with its first output saved."""
    part = blueprint["nodes"][0]
    blueprint["nodes"] += [
        node(2, "Img2ImgDemoCheckpoint", ["MODEL", "CLIP", "VAE", "IMAGE"], ["eps", "red house"]),
        node(3, "CLIPTextEncode", ["CONDITIONING"], ["a blue house"], [("clip", "CLIP")]),
        node(4, "SolidMask", ["MASK"], [1.0, 64, 64]),
        node(5, "SaveImage", [], ["blueprint"], [("images", "IMAGE")]),
    ]
    wires = [((2, 1), 3, 0, "CLIP"), ((1, 0), 5, 0, "IMAGE")]
    slots = [slot for slot in part["inputs"] if "widget" not in slot]
    wires += [(SOURCES[slot["type"]], 1, place, slot["type"]) for place, slot in enumerate(slots)]
    by_id = {one["id"]: one for one in blueprint["nodes"]}
    for number, ((origin, out), target, place, kind) in enumerate(wires, start=1):
        blueprint["links"].append([number, origin, out, target, place, kind])
        by_id[origin]["outputs"][out]["links"].append(number)
        by_id[target]["inputs"][place]["link"] = number
    return blueprint


def test_the_server_offers_them(server):
    assert sorted(entry["name"] for entry in server.get("global_subgraphs").values()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_it_is_what_the_builder_makes(server, name):
    shipped = (ROOT / "subgraphs" / f"{name}.json").read_text(encoding="ascii")
    assert shipped == workflows.build_blueprint(name, server.object_info), "run `python -m nox -s workflows`"


@pytest.mark.parametrize("name", NAMES)
def test_it_shows_widgets_that_are_there(name):
    blueprint = read(name)
    (inside,) = blueprint["definitions"]["subgraphs"]
    nodes = {one["id"]: one for one in inside["nodes"]}
    links = {link["id"]: link for link in inside["links"]}
    (part,) = blueprint["nodes"]
    shown = []
    for slot, given in zip(part["inputs"], inside["inputs"], strict=True):
        assert slot["name"] == given["name"]
        if "widget" in slot:
            (number,) = given["linkIds"]
            node = nodes[links[number]["target_id"]]
            target = node["inputs"][links[number]["target_slot"]]
            assert target["link"] == number
            shown.append(node["widgets_values_named"][target["widget"]["name"]])
    assert part["widgets_values"] == shown


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_and_gives_the_picture_back_at_its_size(server, name):
    prompt = server.to_prompt(wired(read(name)))
    for one in prompt.values():
        one["inputs"] |= {key: value for key, value in (("steps", 3), ("target", 64)) if key in one["inputs"]}
        if one["class_type"] == "Img2ImgTiledRefine":
            one["inputs"] |= {"scale": 2.0, "tile": 128, "overlap": 32}
    saver = next(number for number, one in prompt.items() if one["class_type"] == "SaveImage")
    pictures = server.images(server.run(prompt), saver)
    assert len(pictures) == (4 if name == "Variations of a picture" else 1)
    assert {picture.size for picture in pictures} == {(256, 256) if name == "Upscale by tiles" else (128, 128)}
