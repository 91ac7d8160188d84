"""Fixed points: the z with z = function(z), found for every item of a batch as if it were alone."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from .placing import widest

MIXED = 5
"""How many of the last points are mixed."""
RIDGE = 1e3
"""How many roundings the least squares are kept from being singular by."""


def fixed_point(function: Callable[[Tensor], Tensor], guess: Tensor, iterations: int) -> Tensor:
    """Approach z = function(z) in ``iterations`` calls, at least one.

    Anderson acceleration (doi:10.1145/321296.321305; for inversion arXiv:2309.04907): the next point mixes the values
    so far. An item whose residual a step made worse goes back and tries again half as far, so that an iteration which
    would diverge is damped.

    guess: [B, C, ...]; every item is solved as if it were alone
    """
    shape = (-1, *[1] * (guess.ndim - 1))
    best = aim = point = guess
    least = guess.new_full((len(guess),), math.inf)
    damping = torch.ones_like(least)
    values: deque[Tensor] = deque(maxlen=MIXED)
    residuals: deque[Tensor] = deque(maxlen=MIXED)
    for _ in range(max(1, iterations)):
        value = function(point)
        values.append(value)
        residuals.append(value - point)
        residual = residuals[-1].flatten(1).square().mean(1)
        better = residual < least
        least = torch.where(better, residual, least)
        damping = torch.where(better, 1.0, damping / 2)
        better, damped = better.view(shape), damping.view(shape)
        best, aim = torch.where(better, point, best), torch.where(better, value, aim)
        ahead = _mixed(values, residuals) if len(values) > 2 else value  # two values only lie too close together
        point = torch.where(better, ahead, torch.lerp(best, aim, damped))
    return point


def _mixed(values: Sequence[Tensor], residuals: Sequence[Tensor]) -> Tensor:
    """The sum of values with those weights, adding up to 1, that make the same sum of residuals smallest.

    values, residuals: [B, C, ...] each, of the last points
    """
    rows = torch.stack(tuple(residuals), 1).flatten(2)
    products = widest(rows @ rows.mT)
    norms = products.diagonal(dim1=1, dim2=2).sqrt().clamp_min(torch.finfo(products.dtype).tiny ** (1 / 3))
    # scaled to a unit diagonal, and kept from being singular by a little more than its rounding
    ridge = RIDGE * torch.finfo(rows.dtype).eps * torch.eye(len(values), dtype=products.dtype, device=products.device)
    # without solve's own check, for which the CPU would wait
    weights = torch.linalg.solve_ex(products / (norms[:, :, None] * norms[:, None]) + ridge, 1 / norms)[0] / norms
    weights = (weights / weights.sum(1, keepdim=True)).to(rows)
    return torch.einsum("bn,bn...->b...", weights, torch.stack(tuple(values), 1))
