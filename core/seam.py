"""Seams that cannot be found: an edit is brought to meet its surroundings, and not one pixel around it changes."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from .membrane import Level, border_links, plan_membrane, solve_membrane, spread, spread_rows

Blend = Literal["hard", "feather", "seamless"]
BLENDS: tuple[Blend, ...] = get_args(Blend)

SHIFTED_AS_A_WHOLE = 0.8  # the least share of the border's variance that a gain must explain
GAINS = (0.5, 2.0)
STRIP = 256  # rows of a picture that are put together at a time


def seamless(original: Tensor, edited: Tensor, mask: Tensor) -> Tensor:
    """The edit inside the mask, brought to meet the original at its border; outside, the original's own bits.

    First by a gain, where the edit's colors have shifted as a whole, then by a membrane.

    A pixel is free where the mask is above 0, so under a soft mask the edit meets the original where the mask ends,
    and then both are blended by the mask as always.

    original, edited: [B, H, W, C], 0..1
    mask:             [B or 1, H, W], 0..1
    """
    result = original.clone()
    box, levels = (slice(0), slice(0)), []
    for item in range(len(original)):
        alpha = mask[item % len(mask)]
        if item < len(mask):
            box = _box(alpha > 0)
            levels = plan_membrane(alpha[box] > 0)
        before, after, goal, weights = original[item][box], edited[item][box], result[item][box], alpha[box][..., None]
        after = _with_gain(before, after, levels)
        values = solve_membrane(before, after, levels)
        coarse = spread(levels[1:], values[1:])
        for start in range(0, len(weights), STRIP):
            rows = slice(start, min(start + STRIP, len(weights)))
            met, weight = after[rows], weights[rows]
            if levels:
                met = spread_rows(levels[0], values[0], coarse, rows).add_(met).clamp_(0, 1)
            if not bool(((weight == 0) | (weight == 1)).all()):
                met = torch.lerp(before[rows].to(met), met, weight.to(met))
            goal[rows] = torch.where(weight > 0, met, before[rows])
    return result


def _box(free: Tensor) -> tuple[slice, slice]:
    """Rows and columns of the free pixels, with one more on each side."""
    spans = []
    for axis in (1, 0):
        hit = free.any(axis).nonzero().flatten()
        spans.append(slice(max(0, int(hit[0]) - 1), int(hit[-1]) + 2) if len(hit) else slice(0, 0))
    return spans[0], spans[1]


def _with_gain(original: Tensor, edited: Tensor, levels: list[Level]) -> Tensor:
    """The edit with the contrast of its channels at the border as the original has it there, where a gain explains it.

    Least squares over the known pixels along the border; an edit that meets the original has a gain of exactly 1.
    """
    if not levels:
        return edited
    _, _, outside = border_links(levels[0])
    wanted, given = (each - each.mean(0) for each in (original[outside].float(), edited[outside].float()))
    covariance, variance = (wanted * given).sum(0), (given * given).sum(0).clamp_min(1e-9)
    explained = covariance**2 / (variance * (wanted * wanted).sum(0)).clamp_min(1e-12)
    gain = torch.where(explained > SHIFTED_AS_A_WHOLE, covariance / variance, 1.0).clamp(*GAINS)
    return edited if bool((gain == 1).all()) else edited * gain.to(edited)
