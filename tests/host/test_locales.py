"""The translations follow the schemas: the same inputs and outputs, and a tooltip wherever the schema has one."""

import json

from img2img_studio.dev.comfyui import ROOT

LANGUAGES = sorted(path.parent.name for path in ROOT.glob("locales/*/nodeDefs.json"))


def test_every_input_and_output_is_translated_and_nothing_else(nodes):
    """In one test, so that it lists at once whatever a change of a schema has left to translate."""
    off = []
    for language in LANGUAGES:
        path = ROOT / "locales" / language / "nodeDefs.json"
        translated = json.loads(path.read_text(encoding="utf-8"))
        for name, node in nodes.items():
            schema = node.GET_SCHEMA()
            given = translated.get(name, {"inputs": {}, "outputs": {}})
            inputs = {entry.id: wanted(entry) for entry in schema.inputs}
            outputs = {str(place): wanted(entry) for place, entry in enumerate(schema.outputs)}
            for kind, known in (("inputs", inputs), ("outputs", outputs)):
                found = {key: set(entry) for key, entry in given[kind].items()}
                off += [
                    f"{language}: {name}.{kind}.{key}: {sorted(found.get(key, []))}, not {sorted(known.get(key, []))}"
                    for key in sorted(found.keys() | known.keys())
                    if found.get(key) != known.get(key)
                ]
    assert off == [], "\n".join(off)


def wanted(entry):
    """What the translation of an input or output must hold."""
    return {"name", "tooltip"} if entry.tooltip else {"name"}
