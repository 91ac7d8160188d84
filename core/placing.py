"""Where tensors lie: together on one device, and in float64 where sums need it and the device has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

WITHOUT_FLOAT64 = ("mps", "privateuseone", "xpu")
"""Apple's, DirectML's and some of Intel's."""


def in_float64(tensor: Tensor) -> Tensor:
    """A tensor in float64, on the CPU where its own device has none."""
    return (tensor.cpu() if tensor.device.type in WITHOUT_FLOAT64 else tensor).double()


def widest(tensor: Tensor) -> Tensor:
    """A tensor in the widest type that its device has."""
    return tensor if tensor.device.type in WITHOUT_FLOAT64 else tensor.double()


def sent(tensors: Sequence[Tensor], to: torch.device) -> tuple[Tensor, ...]:
    """Tensors of one shape on a device, sent over together: one after the other, each would be waited for."""
    if not tensors or tensors[0].device == to:
        return tuple(tensors)
    return torch.stack(tuple(tensors)).to(to).unbind()


def beside(first: Tensor, *others: Tensor | None) -> Any:
    """Other tensors on the device of the first one, None for None: nodes hand them on from wherever they made them."""
    moved = tuple(None if one is None else one.to(first.device) for one in others)
    return moved[0] if len(moved) == 1 else moved
