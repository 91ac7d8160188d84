"""Where two prompts disagree about a picture, as a mask."""

from __future__ import annotations

from torch import Tensor

LEAST = 0.05
"""Differences below this are no disagreement, in the model's space, where a picture's standard deviation is about 1."""
STRONG = 0.95
"""The quantile of a picture's differences that stands for a full one."""


def found_mask(change: Tensor, threshold: float) -> Tensor:
    """Where an edit changed a picture, after DiffEdit (arXiv:2210.11427, section 3.2).

    DiffEdit compares both prompts' answers at one noise level. Here an edit itself, of a few steps, says where they
    lead apart: E = |d| over the channels, scaled by its own 95 % quantile. The mask is 1/2 where E is ``threshold``,
    and a ramp from half to one and a half of it, so that it is exactly 0 over most of the rest.

    change:    [B, C, ..., H, W] what ``prompt_edit`` added to the picture; each item is scaled as if it were alone
    threshold: above 0; 0.4 for a local edit
    returns:   [B, 1, ..., H, W] in 0..1
    """
    if threshold <= 0:
        raise ValueError(f"threshold: it must be above 0, got {threshold}")
    strength = change.float().square().sum(1, keepdim=True).sqrt()
    flat = strength.flatten(1)
    rank = min(flat.shape[1] - 1, round(STRONG * (flat.shape[1] - 1)))
    strong = flat.sort(1).values[:, rank].clamp_min(LEAST).view(-1, *[1] * (change.ndim - 1))
    return (strength / strong / threshold - 0.5).clamp(0, 1)
