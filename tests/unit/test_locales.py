"""Translations name nodes that exist, and all languages translate the same ones."""

import ast
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOCALES = {
    path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in ROOT.glob("locales/*/nodeDefs.json")
}


def node_ids():
    """The ids in the pack's literal registry, read without running it: that would need ComfyUI."""
    for statement in ast.parse((ROOT / "nodes" / "__init__.py").read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "NODE_CLASS_MAPPINGS":
            return {ast.literal_eval(key) for key in statement.value.keys}
    raise AssertionError("nodes/__init__.py holds no literal NODE_CLASS_MAPPINGS")


def test_every_language_translates_the_same_existing_nodes():
    assert set(LOCALES) == {"de", "fr", "ja", "zh"}
    translated = [set(nodes) for nodes in LOCALES.values()]
    assert all(nodes == translated[0] for nodes in translated)
    assert translated[0] <= node_ids()


def test_every_translation_has_a_name_and_a_description():
    for nodes in LOCALES.values():
        for node in nodes.values():
            assert set(node) == {"display_name", "description"}
            assert all(node.values())
