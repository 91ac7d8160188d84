"""What a prompt needs of a server: its nodes, and the models and other choices it names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .server import Prompt

UPLOADS = "img2img-fleet"  # the folder of uploaded pictures inside a server's input folder


@dataclass(frozen=True)
class Needs:
    """What must be there.

    nodes:   their ids
    choices: (node, input, value) of every text that a node could be choosing from a list
    """

    nodes: frozenset[str]
    choices: frozenset[tuple[str, str, str]]


def needs_of(prompt: Prompt) -> Needs:
    """What a prompt needs."""
    nodes = frozenset(node["class_type"] for node in prompt.values())
    choices = frozenset(
        (node["class_type"], name, value)
        for node in prompt.values()
        for name, value in node["inputs"].items()
        if isinstance(value, str)
    )
    return Needs(nodes, choices)


def lacking(needs: Needs, object_info: Mapping[str, Any]) -> list[str]:
    """In words, what a server does not have of what is needed, in order."""
    missing = [f"the node {node}" for node in sorted(needs.nodes - object_info.keys())]
    for node, name, value in sorted(needs.choices):
        options = options_of(object_info.get(node, {}), name)
        if options is not None and value not in options:
            missing.append(f"{value!r} for {name} of {node}")
    return missing


def options_of(node: Mapping[str, Any], name: str) -> list[Any] | None:
    """The values an input of a node chooses from, or None where it takes any text or reads an uploaded file."""
    inputs = node.get("input") or {}
    spec = (inputs.get("required") or {}).get(name) or (inputs.get("optional") or {}).get(name)
    if not spec:
        return None
    kind, settings = spec[0], (spec[1] if len(spec) > 1 and isinstance(spec[1], dict) else {})
    if settings.get("image_upload") or settings.get("remote"):
        return None
    if isinstance(kind, list):
        return kind
    return settings.get("options") if kind == "COMBO" else None
