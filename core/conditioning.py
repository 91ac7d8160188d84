"""Conditioning: prompts as a sampler gets them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .noise import digest

Conditioning = list[Any]
"""ComfyUI's CONDITIONING: a list of [embedding, options]."""


STRETCHED = {"concat_latent_image", "concat_image", "concat_mask"}
"""What ComfyUI spreads over a batch of another size; all else it repeats from the start."""


def prompt_of_pictures(conditioning: Conditioning, rows: Sequence[int], pictures: int) -> Conditioning:
    """What a conditioning says to some pictures of a batch, in a batch of their own.

    What all pictures share stays as it is; of what there is one for each, every picture keeps its own.

    rows:     which of the pictures, in any order and as often as wanted
    pictures: of the whole batch
    """

    def own(value: Any, stretched: bool = False) -> Any:
        if isinstance(value, list):
            return [own(item, stretched) for item in value]
        if not isinstance(value, Tensor) or value.ndim < 2 or len(value) == 1:
            return value
        return value[[_row_of(row, pictures, len(value), stretched) for row in rows]]

    return [
        [own(embedding), {name: own(value, name in STRETCHED) for name, value in options.items()}]
        for embedding, options in conditioning
    ]


def _row_of(picture: int, pictures: int, rows: int, stretched: bool) -> int:
    """Which of so many rows ComfyUI gives to a picture of a batch."""
    if not stretched or rows == pictures:
        return picture % rows
    if pictures > rows:
        return min(math.floor((picture + 0.5) * rows / pictures), rows - 1)
    return min(round(picture * (rows - 1) / max(1, pictures - 1)), rows - 1)


def draws_from_seed(conditioning: Conditioning) -> bool:
    """Whether a model draws noise for a prompt's picture from the seed: x4 upscalers, unCLIP and their kin."""
    return any(
        float(part.get("noise_augmentation") or 0.0) > 0.0
        for _, options in conditioning
        for part in (options, *(options.get("unclip_conditioning") or ()))
    )


def with_text(conditioning: Conditioning, encoded: Conditioning) -> Conditioning:
    """A conditioning that says something else and goes on carrying all that is no text: pictures, sizes, guidance...

    encoded: the new text, as the text encoder gives it
    """
    return [[text, options | facts] for _, options in conditioning for text, facts in encoded]


def with_guidance(conditioning: Conditioning, guidance: float) -> Conditioning:
    """A conditioning for a model with built-in guidance, at another strength of it, as FluxGuidance makes it."""
    return [[embedding, options | {"guidance": guidance}] for embedding, options in conditioning]


def conditioning_digest(conditioning: Conditioning) -> str:
    """A short fingerprint of a conditioning: its embeddings and plain options."""
    parts = []
    for embedding, options in conditioning:
        parts.append("" if embedding is None else digest(embedding))
        parts.extend(f"{name}={_value_text(value)}" for name, value in sorted(options.items()))
    return text_digest("|".join(parts))


def _value_text(value: Any) -> str:
    """An option by what is in it: tensors by their bits, also inside lists and ControlNets."""
    if isinstance(value, Tensor):
        return digest(value)
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(_value_text, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{name}={_value_text(item)}' for name, item in value.items())}}}"
    if hasattr(value, "cond_hint_original"):  # a ControlNet, and those it is chained to
        shown = (value.cond_hint_original, value.strength, value.timestep_percent_range, value.previous_controlnet)
        return f"{type(value).__name__}{_value_text(shown)}"
    return plain_text(value)


def plain_text(value: Any) -> str:
    """An option as text that is the same in every session; of objects, only their kind."""
    return repr(value) if isinstance(value, (str, int, float, bool, tuple)) or value is None else type(value).__name__


def text_digest(text: str) -> str:
    """A short fingerprint of a text, the same on every machine."""
    return digest(torch.tensor(list(text.encode()), dtype=torch.uint8))
