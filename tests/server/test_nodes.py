"""What the server and the frontend learn about the pack."""

import json

import pytest
from img2img_studio.dev.comfyui import ROOT

LANGUAGES = sorted(path.name for path in (ROOT / "locales").iterdir())
WORKFLOWS = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))


def test_it_loads_without_a_complaint(server):
    log = server.log.read_text(encoding="utf-8")
    assert "IMPORT FAILED" not in log
    assert "Cannot import" not in log


def test_every_node_is_there_and_says_what_it_is(server, pack_ids):
    assert len(pack_ids) >= 13
    for name in pack_ids:
        info = server.object_info[name]
        assert info["python_module"].startswith("custom_nodes."), f"{name} belongs to another pack"
        assert info["category"].split("/")[0] == "img2img", name
        assert len(info["description"]) > 20, name
        assert info["display_name"] != name or " " in name, f"{name} has no display name"


def test_every_input_has_a_tooltip(server, pack_ids):
    bare = [
        f"{name}.{label}"
        for name in pack_ids
        for group in ("required", "optional")
        for label, spec in server.object_info[name]["input"].get(group, {}).items()
        if len(spec) < 2 or not spec[1].get("tooltip")
    ]
    assert bare == []


def test_no_output_takes_the_name_of_another_in_its_node(server, pack_ids):
    for name in pack_ids:
        labels = server.object_info[name]["output_name"]
        assert len(set(labels)) == len(labels), name


def test_every_node_has_a_help_page(server, pack_ids):
    extensions = server.http.get(f"{server.url}/extensions", timeout=30).json()
    folders = {path.split("/")[2] for path in extensions if path.endswith("strength_curve.js")}
    assert len(folders) == 1, "the scripts are served from more than one folder"
    (folder,) = folders
    missing = [
        name
        for name in pack_ids
        if not server.http.get(f"{server.url}/extensions/{folder}/docs/{name}.md", timeout=30).ok
    ]
    assert missing == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_translations_are_served(server, pack_ids, language):
    served = server.get("i18n")[language]["nodeDefs"]
    written = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    assert {name: served[name] for name in pack_ids} == written


@pytest.mark.parametrize("name", WORKFLOWS)
def test_the_template_browser_serves_it_with_a_thumbnail(server, name):
    packs = [pack for pack, names in server.get("workflow_templates").items() if name in names]
    assert len(packs) == 1
    for kind in ("json", "jpg"):
        answer = server.http.get(f"{server.url}/api/workflow_templates/{packs[0]}/{name}.{kind}", timeout=30)
        assert answer.ok, f"{name}.{kind}"


def test_a_broken_graph_is_not_saved_by_a_node_that_only_informs(server, pack_ids):
    assert [name for name in pack_ids if server.object_info[name]["output_node"]] == []


def test_what_a_cached_node_showed_can_be_asked_for(server):
    def graph(names, strength):
        model, plan, end = names
        settings = {"scheduler": "simple", "steps": 3, "strength": strength}
        return {
            model: {"class_type": "Img2ImgDemoCheckpoint", "inputs": {"family": "eps"}},
            plan: {"class_type": "StrengthScheduler", "inputs": {"model": [model, 0], **settings}},
            end: {"class_type": "PreviewAny", "inputs": {"source": [plan, 1]}},
        }

    def ask(prompt_id):
        question = {"prompt_id": prompt_id, "nodes": ["2", "7", "none"]}
        return server.http.post(f"{server.url}/img2img_studio/shown", json=question, timeout=60).json()["shown"]

    first = server.run(graph("123", 0.37))
    (shown,) = first.outputs["2"]["img2img_strength"]
    again = server.run(graph("678", 0.37))
    assert "7" not in again.outputs, "ComfyUI tells it itself"
    assert ask(again.prompt_id) == {"7": {"img2img_strength": [shown]}}
    assert ask(first.prompt_id).keys() == {"2"}
    assert ask("no such run") == {}
