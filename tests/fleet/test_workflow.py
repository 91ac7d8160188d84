"""Reading workflows and setting values in them, without any server."""

import pytest
from img2img_studio.fleet.errors import FleetError
from img2img_studio.fleet.needs import lacking, needs_of
from img2img_studio.fleet.workflow import check_saves, read, to_prompt, with_values


@pytest.fixture
def prompt():
    return {
        "1": {"class_type": "Plan", "inputs": {"strength": 0.6, "steps": 20, "model": ["3", 0]}},
        "2": {"class_type": "Control", "inputs": {"strength": 1, "on": True}, "_meta": {"title": "Outlines"}},
        "3": {"class_type": "Loader", "inputs": {"name": "a.safetensors"}},
        "4": {"class_type": "Paint", "inputs": {"cfg": ["1", 1]}},
    }


@pytest.mark.parametrize(
    ("name", "value", "node", "expected"),
    [
        ("steps", "30", "1", 30),
        ("Plan.strength", "1", "1", 1.0),
        ("Outlines.strength", "0.5", "2", 0.5),
        ("2.strength", "2", "2", 2),
        ("on", "false", "2", False),
        ("name", "12", "3", "12"),
        ("Paint.cfg", "7.5", "4", 7.5),
        ("steps", 7, "1", 7),
    ],
)
def test_a_value_is_set_where_it_is_named(prompt, name, value, node, expected):
    changed = with_values(prompt, {name: value})[node]["inputs"][name.rpartition(".")[2]]
    assert (changed, type(changed)) == (expected, type(expected))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("strength", "0.5", "say which one: Control.strength or Plan.strength"),
        ("cfg", "4", "comes through a link; to replace it, write Paint.cfg"),
        ("denoise", "1", "no input 'denoise'. It has name, on, steps, strength"),
        ("steps", "many", "steps is a number, such as 20, not 'many'"),
        ("on", "maybe", "on is true or false"),
    ],
)
def test_a_value_that_cannot_be_set_says_why(prompt, name, value, message):
    with pytest.raises(FleetError, match=message):
        with_values(prompt, {name: value})


def test_a_workflow_of_the_pack_is_found_by_its_name():
    name, workflow = read("A whole folder")
    assert name == "A whole folder"
    assert workflow["nodes"]


@pytest.mark.parametrize(
    ("content", "message"), [("{", "cannot be read as a workflow"), ("{}", "is no workflow"), ("[1]", "is no workflow")]
)
def test_what_is_no_workflow_says_so(tmp_path, content, message):
    (tmp_path / "w.json").write_text(content)
    with pytest.raises(FleetError, match=message):
        read(tmp_path / "w.json")
    with pytest.raises(FleetError, match="There is no workflow 'A whole folders'"):
        read("A whole folders")


def test_a_workflow_that_only_shows_saves_nothing():
    info = {"PreviewImage": {"output_node": True}, "SaveImage": {"output_node": True}, "A": {}}
    shows = {"1": {"class_type": "A", "inputs": {}}, "2": {"class_type": "PreviewImage", "inputs": {}}}
    with pytest.raises(FleetError, match="saves nothing: it has no Save Image node, only PreviewImage"):
        check_saves(shows, info)
    check_saves(shows | {"3": {"class_type": "SaveImage", "inputs": {}}}, info)


def test_unknown_nodes_are_named():
    with pytest.raises(FleetError, match="No server knows the nodes Other"):
        to_prompt({"nodes": [{"id": 1, "type": "Other"}, {"id": 2, "type": "MarkdownNote"}], "links": []}, {"A": {}})


@pytest.mark.parametrize("spec", [[["a", "b"]], ["COMBO", {"options": ["a", "b"]}]])
def test_what_a_server_lacks_is_named(spec):
    info = {"Loader": {"input": {"required": {"name": spec, "image": [["x.png"], {"image_upload": True}]}}}}
    prompt = {
        "1": {"class_type": "Loader", "inputs": {"name": "c", "image": "y.png"}},
        "2": {"class_type": "Gone", "inputs": {"text": "anything"}},
    }
    assert lacking(needs_of(prompt), info) == ["the node Gone", "'c' for name of Loader"]
    prompt["1"]["inputs"]["name"] = "b"
    del prompt["2"]
    assert lacking(needs_of(prompt), info) == []
