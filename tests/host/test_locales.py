"""The translations follow the schemas: the same inputs and outputs, and a tooltip wherever the schema has one."""

import json

import pytest
from img2img_studio.dev.comfyui import ROOT

LANGUAGES = sorted(path.parent.name for path in ROOT.glob("locales/*/nodeDefs.json"))


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_input_and_output_is_translated_and_nothing_else(nodes, language):
    translated = json.loads((ROOT / "locales" / language / "nodeDefs.json").read_text(encoding="utf-8"))
    for name, node in nodes.items():
        schema = node.GET_SCHEMA()
        assert fields(translated[name]["inputs"]) == {entry.id: wanted(entry) for entry in schema.inputs}, name
        outputs = {str(place): wanted(entry) for place, entry in enumerate(schema.outputs)}
        assert fields(translated[name]["outputs"]) == outputs, name


def fields(entries):
    """What each translated entry holds."""
    return {name: set(entry) for name, entry in entries.items()}


def wanted(entry):
    """What the translation of an input or output must hold."""
    return {"name", "tooltip"} if entry.tooltip else {"name"}
