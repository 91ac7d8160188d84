"""What nodes have shown in earlier runs, for those that ComfyUI takes from its cache.

A node that only informs must not be an output node: it would run, and count as success, in a graph whose picture is
broken. The price is that ComfyUI says nothing of it when its result is cached. Its history still knows.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Any

Prompt = dict[str, dict[str, Any]]
"""A graph in the form that is queued: class and inputs of each node by its id."""

LATEST_RUNS = 256
"""How far back the history is searched."""


def shown_before(queue: Any, prompt_id: str, nodes: Iterable[str]) -> dict[str, Any]:
    """What each of these nodes of a prompt showed when it last ran with the same inputs, by node id.

    queue: ComfyUI's PromptQueue
    nodes: ids in the prompt; those that never ran, or are not there, are left out
    """
    item, past = _known(queue, prompt_id)
    prompt: Prompt = item[2]
    runs = [(run["prompt"][2], run["outputs"]) for run in past if run.get("outputs")]
    found = {node: _last_output(prompt, node, runs) for node in nodes if node in prompt}
    return {node: output for node, output in found.items() if output is not None}


def workflow_of(queue: Any, prompt_id: str | None) -> str | None:
    """The id of the workflow that a prompt was queued from; None where whoever queued it did not say."""
    (_, _, _, extra, *_), _ = _known(queue, prompt_id)
    return ((extra.get("extra_pnginfo") or {}).get("workflow") or {}).get("id")


def _known(queue: Any, prompt_id: str | None) -> tuple[tuple[Any, ...], list[dict[str, Any]]]:
    """A prompt as it lies in the queue, an empty one where it is not there, and the latest runs, last one first."""
    with queue.mutex:
        running = list(queue.currently_running.values())
        past = list(islice(reversed(queue.history.values()), LATEST_RUNS))
    items = [*running, *(run["prompt"] for run in past)]
    return next((item for item in items if item[1] == prompt_id), (0, prompt_id, {}, {})), past


def _last_output(prompt: Prompt, node: str, runs: list[tuple[Prompt, dict[str, Any]]]) -> Any:
    for other, outputs in runs:
        known: dict[tuple[str, str], bool] = {}
        for candidate, output in outputs.items():
            if same_work(prompt, node, other, candidate, known):
                return output
    return None


def same_work(prompt: Prompt, node: str, other: Prompt, candidate: str, known: dict[tuple[str, str], bool]) -> bool:
    """Whether two nodes of two prompts have the same class and the same inputs, all the way up.

    known: what has been found of pairs of nodes already; a graph may lead to one node in many ways
    """
    pair = (node, candidate)
    if pair not in known:
        left, right = prompt.get(node, {}), other.get(candidate, {})
        mine, theirs = left.get("inputs", {}), right.get("inputs", {})
        known[pair] = (
            left.get("class_type") == right.get("class_type")
            and mine.keys() == theirs.keys()
            and all(_same_value(prompt, value, other, theirs[name], known) for name, value in mine.items())
        )
    return known[pair]


def _same_value(prompt: Prompt, value: Any, other: Prompt, theirs: Any, known: dict[tuple[str, str], bool]) -> bool:
    if _is_link(value, prompt) and _is_link(theirs, other):
        return value[1] == theirs[1] and same_work(prompt, value[0], other, theirs[0], known)
    return value == theirs


def _is_link(value: Any, prompt: Prompt) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str) and value[0] in prompt
