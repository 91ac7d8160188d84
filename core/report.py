"""Reports: strict JSON that says what a node really did."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

VERSION = "1.0.0"


@dataclass(frozen=True)
class Work:
    """What sampling took; add up several runs with +.

    planned: steps that were planned, each of them one guided answer of the model at least
    calls:   how often the model was really asked; prompt and negative prompt count as one call
    seconds: wall-clock time inside sampling
    guided_twice: whether cfg guided a model that has its guidance built in
    """

    planned: int = 0
    calls: int = 0
    seconds: float = 0.0
    guided_twice: bool = False

    def __add__(self, other: Work) -> Work:
        twice = self.guided_twice or other.guided_twice
        return Work(self.planned + other.planned, self.calls + other.calls, self.seconds + other.seconds, twice)

    def describe(self) -> dict[str, Any]:
        """The same under the names that every report uses."""
        return {
            "planned_calls": self.planned,
            "model_calls": self.calls,
            "sampling_seconds": round(self.seconds, 3),
        } | ({"guided_twice": True} if self.guided_twice else {})


class Report:
    """The report of one run of a node. Its clock starts when it is made.

    These keys mean the same in every node's report: ``planned_calls``, ``model_calls`` and ``sampling_seconds`` as in
    ``Work``, ``seconds`` is the wall-clock time of the whole node.

    versions: of everything that a result depends on
    """

    def __init__(self, versions: Mapping[str, str]) -> None:
        self.versions = versions
        self.began = time.perf_counter()

    def text(self, work: Work | None = None, /, **facts: Any) -> str:
        """The facts as strict JSON; without ``work``, nothing was sampled and nothing is said of it."""
        took = {} if work is None else work.describe()
        seconds = round(time.perf_counter() - self.began, 3)
        return strict_json(facts | took | {"seconds": seconds, "versions": self.versions})


def strict_json(facts: Mapping[str, Any]) -> str:
    """Facts as a strict JSON text; tensors become lists, and numbers that JSON lacks (inf, NaN) become null."""
    return json.dumps(plain(facts), indent=1, allow_nan=False)


def plain(value: Any) -> Any:
    """A value as JSON knows it: tensors as lists, and null for numbers that are not finite.

    Equal texts become one object: ComfyUI's history keeps what every run showed.
    """
    if type(value) is str:
        return sys.intern(value)
    if isinstance(value, torch.Tensor):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
