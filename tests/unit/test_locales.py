"""Every language translates every node, in messages that the frontend's vue-i18n takes as they are."""

import ast
import json
from pathlib import Path

import pytest

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


def messages(tree):
    """All strings at the leaves."""
    return [text for branch in tree.values() for text in messages(branch)] if isinstance(tree, dict) else [tree]


def test_they_are_the_languages_that_comfyui_offers():
    assert set(LOCALES) == {"ar", "es", "fr", "ja", "ko", "ru", "zh", "zh-TW"}


@pytest.mark.parametrize("language", LOCALES)
def test_every_node_is_translated(language):
    assert set(LOCALES[language]) == node_ids()
    for node in LOCALES[language].values():
        assert set(node) == {"display_name", "description", "inputs", "outputs"}


@pytest.mark.parametrize("language", LOCALES)
def test_no_two_nodes_have_the_same_name(language):
    names = [node["display_name"] for node in LOCALES[language].values()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("language", LOCALES)
def test_no_message_holds_signs_that_the_frontend_would_read_as_syntax(language):
    # In vue-i18n braces are a place to fill, @ a link and | a plural; {'...'} is the text between the quotes.
    for message in messages(LOCALES[language]):
        assert message.strip(), "an empty message"
        plain = message.replace("{'{'}", "").replace("{'}'}", "")
        assert not set(plain) & set("{}@|"), message
