"""Reports: strict JSON that says what a node really did."""

from __future__ import annotations

import json
import math
from typing import Any

import torch

VERSION = "0.1.0"


def report(**facts: Any) -> str:
    """Facts as a strict JSON text; tensors become lists, and numbers that JSON lacks (inf, NaN) become null."""
    return json.dumps(plain(facts), indent=1, allow_nan=False)


def plain(value: Any) -> Any:
    """A value as JSON knows it: tensors as lists, and null for numbers that are not finite."""
    if isinstance(value, torch.Tensor):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value
