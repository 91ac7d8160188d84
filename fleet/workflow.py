"""Read a workflow, turn it into ComfyUI's API format, and set values in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from .errors import FleetError
from .server import Prompt

SHIPPED = Path(__file__).resolve().parent.parent / "workflows"
ONLY_SHOWS = ("PreviewImage", "PreviewAny", "PreviewAudio", "PreviewVideo", "PreviewString", "Preview3D", "MaskPreview")


def read(name: str | Path) -> tuple[str, dict[str, Any]]:
    """A workflow file, or one of those that come with the pack by its name; returns (its name, what it holds).

    raises: FleetError where there is none, or it is no workflow
    """
    path = Path(name)
    if not path.is_file() and (SHIPPED / f"{path.name}.json").is_file() and path.name == str(name):
        path = SHIPPED / f"{path.name}.json"
    if not path.is_file():
        shipped = ", ".join(sorted(file.stem for file in SHIPPED.glob("*.json")))
        raise FleetError(f"There is no workflow {str(name)!r}. Name a file, or one that comes with the pack: {shipped}")
    try:
        workflow = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise FleetError(f"{str(path)!r} cannot be read as a workflow ({error})") from error
    if not isinstance(workflow, dict) or not (is_ui(workflow) or is_api(workflow)):
        raise FleetError(
            f"{str(path)!r} is no workflow; save one in ComfyUI with Workflow > Save or Workflow > Export (API)"
        )
    return path.stem, workflow


def is_ui(workflow: Mapping[str, Any]) -> bool:
    """True for what the frontend saves."""
    return isinstance(workflow.get("nodes"), list) and isinstance(workflow.get("links"), list)


def is_api(workflow: Mapping[str, Any]) -> bool:
    """True for what is queued."""
    nodes = workflow.values()
    return bool(nodes) and all(isinstance(node, dict) and "class_type" in node and "inputs" in node for node in nodes)


def to_prompt(workflow: dict[str, Any], object_info: dict[str, Any]) -> Prompt:
    """A workflow in the form that is queued; FleetError where the server does not know one of its nodes."""
    if is_api(workflow):
        return deepcopy(workflow)
    from comfy_cli.workflow_to_api import WorkflowConversionError, convert_ui_to_api  # half a second, often not needed

    known = object_info.keys() | {"MarkdownNote", "Note", "Reroute", "PrimitiveNode"}
    inner = {str(part.get("id")) for part in (workflow.get("definitions") or {}).get("subgraphs", [])}
    unknown = {str(node.get("type")) for node in workflow["nodes"] if node.get("mode") not in (2, 4)} - known - inner
    if unknown:
        raise FleetError(f"No server knows the nodes {', '.join(sorted(unknown))}. Install their packs there.")
    try:
        return convert_ui_to_api(workflow, object_info)
    except WorkflowConversionError as error:
        raise FleetError(
            f"The workflow cannot be converted ({error}); in ComfyUI, save it with Workflow > Export (API)"
        ) from error


def with_reports(prompt: Prompt, object_info: Mapping[str, Any]) -> Prompt:
    """The prompt with every report of its nodes shown as text, which is how a run brings them back."""
    shown = {str(value) for node in prompt.values() for value in node["inputs"].values() if _linked(value)}
    reports = {
        f"{number} report": [number, place]
        for number, node in prompt.items()
        for place, name in enumerate(object_info.get(node["class_type"], {}).get("output_name", ()))
        if name == "report" and str([number, place]) not in shown
    }
    return prompt | {
        name: {"class_type": "PreviewAny", "inputs": {"source": source}} for name, source in reports.items()
    }


def of_kind(prompt: Prompt, *kinds: str) -> dict[str, dict[str, Any]]:
    """The nodes of some kinds, by their numbers."""
    return {number: node for number, node in prompt.items() if node["class_type"] in kinds}


def check_saves(prompt: Prompt, object_info: Mapping[str, Any]) -> None:
    """FleetError for a workflow that shows its results at most."""
    kinds = {node["class_type"] for node in prompt.values()}
    ends = {kind for kind in kinds if object_info.get(kind, {}).get("output_node")}
    if not ends - set(ONLY_SHOWS):
        shows = f", only {', '.join(sorted(ends))}" if ends else ""
        raise FleetError(f"This workflow saves nothing: it has no Save Image node{shows}. Add one, and run it again.")


def with_values(prompt: Prompt, values: Mapping[str, Any]) -> Prompt:
    """The prompt with inputs set.

    values: by "input", where one kind of node has it as a value of its own; by "Kind.input", "number.input" or
            "Title.input", where several have it, or a link is to be replaced

    raises: FleetError naming the input and what there is
    """
    prompt = deepcopy(prompt)
    for name, value in values.items():
        for node, key in places(prompt, name):
            node["inputs"][key] = fitted(value, node["inputs"].get(key), name)
    return prompt


def places(prompt: Prompt, name: str) -> list[tuple[dict[str, Any], str]]:
    """Where an input is to be set: (node, its input)."""
    owner, dot, key = name.rpartition(".")
    if dot:
        found = [(node, key) for number, node in prompt.items() if owner in (number, node["class_type"], _title(node))]
        found = [(node, key) for node, key in found if key in node["inputs"]]
    else:
        found = [(node, key) for node in prompt.values() if key in node["inputs"] and not _linked(node["inputs"][key])]
    kinds = {node["class_type"] for node, _ in found}
    if not found or len(kinds) > 1:
        raise FleetError(_no_place(prompt, name, key, sorted(kinds)))
    return found


def _no_place(prompt: Prompt, name: str, key: str, kinds: list[str]) -> str:
    if kinds:
        ways = " or ".join(f"{kind}.{key}" for kind in kinds)
        return f"{name!r} is an input of several kinds of nodes; say which one: {ways}"
    linked = sorted({node["class_type"] for node in prompt.values() if _linked(node["inputs"].get(key))})
    if linked:
        return f"{name!r} comes through a link; to replace it, write {linked[0]}.{key}"
    inputs = {key for node in prompt.values() for key, value in node["inputs"].items() if not _linked(value)}
    return f"This workflow has no input {name!r}. It has {', '.join(sorted(inputs))}"


def fitted(value: Any, current: Any, name: str) -> Any:
    """A value of the kind that stands there now, from what people type.

    raises: FleetError where it is of another kind
    """
    if not isinstance(value, str) or isinstance(current, str):
        return str(value) if isinstance(current, str) else value
    text = value.strip()
    try:
        if isinstance(current, bool):
            return {"true": True, "false": False}[text.lower()]
        if isinstance(current, int) and re.fullmatch(r"[+-]?\d+", text):
            return int(text)
        if isinstance(current, int | float):
            return float(text)
    except (ValueError, KeyError):
        kind = "true or false" if isinstance(current, bool) else "a number"
        raise FleetError(f"{name} is {kind}, such as {json.dumps(current)}, not {value!r}") from None
    try:
        return json.loads(text)  # a link is replaced, and says nothing about the kind
    except ValueError:
        return value


def _title(node: Mapping[str, Any]) -> str | None:
    return (node.get("_meta") or {}).get("title")


def _linked(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def split_values(text: str) -> Iterator[str]:
    """The values between commas or new lines, as people type them."""
    return (word.strip() for word in re.split(r"[,;\n]", text) if word.strip())
