"""`fleet check`: what each server is, has and lacks, and how fast it is."""

from __future__ import annotations

import json
import statistics
import time
import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .errors import FleetError, Refused, ServerTrouble
from .needs import lacking, needs_of
from .server import ComfyServer, Prompt
from .verify import differences
from .workflow import to_prompt

TOY_RUNS, LONGEST_TOY = 3, 120.0  # how often, and at most how many seconds


@dataclass(frozen=True)
class Checked:
    """What a server said.

    trip:   seconds from a question to its answer
    toy:    seconds for a picture of the toy checkpoint in 8 steps; None where the pack is not installed there
    nodes:  ids, with their inputs in a form that can be compared
    models: file names with their folders, such as "checkpoints/sdxl.safetensors"
    lacks:  what the workflow needs and is not there
    """

    server: str
    trouble: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    trip: float = 0.0
    toy: float | None = None
    nodes: Mapping[str, str] = field(default_factory=dict)
    models: frozenset[str] = frozenset()
    lacks: tuple[str, ...] = ()


def check(servers: Sequence[str], workflow: dict[str, Any] | None) -> list[Checked]:
    """Ask all servers at once."""
    with ThreadPoolExecutor(max(1, min(32, len(servers)))) as threads:
        return list(threads.map(lambda url: _ask(ComfyServer(url), workflow), servers))


def told(checked: Sequence[Checked]) -> list[str]:
    """In words, what is wrong or differs."""
    said = [one.trouble for one in checked if one.trouble]
    said += [f"{one.server} lacks {', '.join(one.lacks)}" for one in checked if one.lacks]
    there = [one for one in checked if not one.trouble]
    said += differences({one.server: dict(one.versions) for one in there})
    every_node = {node for one in there for node in one.nodes}
    every_model = {model for one in there for model in one.models}
    for one in there:
        said += _missing(one.server, "nodes", every_node - one.nodes.keys())
        said += _missing(one.server, "models", every_model - one.models)
    changed = sorted(node for node in every_node if len({one.nodes.get(node) for one in there} - {None}) > 1)
    if changed:
        said.append(f"These nodes have other inputs on some servers, so their packs differ: {_some(changed)}")
    return said


def show(checked: Sequence[Checked], as_json: bool) -> None:
    """Print what was found."""
    if as_json:
        rows = [asdict(one) | {"nodes": len(one.nodes), "models": sorted(one.models)} for one in checked]
        print(json.dumps({"servers": rows, "differences": told(checked)}, indent=2))
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("server", "comfyui", "torch", "python", "device", "nodes", "models", "answers in", "toy picture in"):
        table.add_column(name)
    for one in checked:
        versions = [escape(one.versions.get(name, "–")) for name in ("comfyui", "torch", "python", "device")]
        counts = [str(len(one.nodes)), str(len(one.models)), f"{1000 * one.trip:.0f} ms"]
        table.add_row(escape(one.server), *versions, *counts, "–" if one.toy is None else f"{one.toy:.2f} s")
    console = Console()
    console.print(table)
    for line in told(checked) or ["Nothing differs."]:
        console.print(line, markup=False, highlight=False)


def _ask(server: ComfyServer, workflow: dict[str, Any] | None) -> Checked:
    try:
        versions = server.versions()
        object_info = server.object_info()
        models = {f"{folder}/{name}" for folder, names in server.models().items() for name in names}
        lacks = _lacks(workflow, object_info) if workflow else ()
        trip = statistics.median(_seconds(server.alive) for _ in range(3))
        nodes = {node: json.dumps(info.get("input_order"), sort_keys=True) for node, info in object_info.items()}
        toy = _toy(server) if "Img2ImgDemoCheckpoint" in object_info else None
        return Checked(server.url, "", versions, trip, toy, nodes, frozenset(models), lacks)
    except ServerTrouble as error:
        return Checked(server.url, str(error))


def _lacks(workflow: dict[str, Any], object_info: dict[str, Any]) -> tuple[str, ...]:
    try:
        return tuple(lacking(needs_of(to_prompt(workflow, object_info)), object_info))
    except FleetError as error:
        return (str(error),)


def _toy(server: ComfyServer) -> float | None:
    """Seconds for a small picture, after one that loads everything."""
    try:
        return min(_seconds(lambda: _paint(server)) for _ in range(TOY_RUNS))
    except Refused:
        return None


def _paint(server: ComfyServer) -> None:
    prompt_id = str(uuid.uuid4())
    server.queue(_toy_prompt(seed=uuid.uuid4().int % 2**32), prompt_id)
    end = time.monotonic() + LONGEST_TOY
    while server.ended(prompt_id) is None:
        if time.monotonic() > end:
            raise ServerTrouble(f"{server.url} painted no toy picture within {LONGEST_TOY:.0f} s; is it busy?")
        time.sleep(0.02)


def _toy_prompt(seed: int) -> Prompt:
    """The toy repaints its own drawing; nothing is saved."""
    text = {"clip": ["1", 1], "text": "a house"}
    paint = {
        "image": ["1", 3], "model": ["1", 0], "vae": ["1", 2], "positive": ["2", 0], "negative": ["2", 0],
        "strength": 0.5, "steps": 8, "cfg": 4.0, "sampler_name": "euler", "scheduler": "normal", "seed": seed,
    }  # fmt: skip
    return {
        "1": {"class_type": "Img2ImgDemoCheckpoint", "inputs": {"family": "eps"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": text},
        "3": {"class_type": "Img2ImgAllInOne", "inputs": paint},
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
    }


def _seconds(act: Any) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def _missing(server: str, kind: str, names: set[str]) -> list[str]:
    return [f"{server} lacks {kind} that others have: {_some(sorted(names))}"] if names else []


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 8} more" if len(names) > 8 else ""
    return f"{', '.join(names[:8])}{more}"
