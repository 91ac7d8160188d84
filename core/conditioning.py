"""Conditioning: prompts as a sampler gets them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .noise import digest

Conditioning = list[Any]
"""ComfyUI's CONDITIONING: a list of [embedding, options]."""


def prompt_of_item(conditioning: Conditioning, item: int) -> Conditioning:
    """The part of a conditioning that belongs to one picture of a batch; what all share stays as it is."""

    def own(value: Any) -> Any:
        return value[item % len(value)][None] if isinstance(value, Tensor) and len(value) > 1 else value

    return [
        [own(embedding), {name: own(value) if name == "pooled_output" else value for name, value in options.items()}]
        for embedding, options in conditioning
    ]


def conditioning_digest(conditioning: Conditioning) -> str:
    """A short fingerprint of a conditioning: its embeddings and plain options."""
    parts = []
    for embedding, options in conditioning:
        parts.append("" if embedding is None else digest(embedding))
        for name, value in sorted(options.items()):
            parts.append(f"{name}={digest(value) if isinstance(value, Tensor) else plain_text(value)}")
    return text_digest("|".join(parts))


def plain_text(value: Any) -> str:
    """An option as text that is the same in every session; of objects, only their kind."""
    return repr(value) if isinstance(value, (str, int, float, bool, tuple)) or value is None else type(value).__name__


def text_digest(text: str) -> str:
    """A short fingerprint of a text, the same on every machine."""
    return digest(torch.tensor(list(text.encode()), dtype=torch.uint8))
