"""Tiles: a large latent denoised in parts of equal size that are blended at every step.

Source: MultiDiffusion (arXiv:2302.08113); all tiles see one noised latent, so there is one noise and no seam to hide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class TileGrid:
    """Where tiles of one size lie on a plane.

    size:    (height, width) of a tile
    tops, lefts: their first rows and columns; every row of tiles has every column
    overlap: how far neighbours reach into each other at least
    """

    size: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]
    overlap: int

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((top, left) for top in self.tops for left in self.lefts)

    def cut(self, plane: Tensor, place: tuple[int, int]) -> Tensor:
        """The tile of a tensor [..., H, W] at a place, as a view."""
        top, left = place
        return plane[..., top : top + self.size[0], left : left + self.size[1]]


def plan_tiles(height: int, width: int, tile: int, overlap: int) -> TileGrid:
    """Cover a plane with as few tiles of one size as the overlap allows: ceil((L - overlap) / (tile - overlap)) a side.

    tile, overlap: in the plane's units; a side shorter than the tile is one tile

    raises: ValueError where the overlap leaves nothing of a tile
    """
    if not 0 <= overlap < tile:
        raise ValueError(
            f"overlap is {overlap}, but a tile is {tile}: make it smaller than the tile; an eighth of it is a good one"
        )
    tops, lefts = (_starts(length, min(tile, length), overlap) for length in (height, width))
    return TileGrid((min(tile, height), min(tile, width)), tops, lefts, overlap)


def _starts(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    count = max(1, math.ceil((length - overlap) / (tile - overlap))) if tile > overlap else 1
    return tuple(round(place * (length - tile) / max(1, count - 1)) for place in range(count))


def tile_weight(grid: TileGrid, like: Tensor) -> Tensor:
    """How much a tile counts at each of its pixels: 1 in the middle, falling smoothly over the overlap; [h, w]."""

    def ramp(length: int) -> Tensor:
        reach = min(grid.overlap, length // 2)
        weight = torch.ones(length)
        rising = 0.5 - 0.5 * torch.cos(math.pi * (torch.arange(reach) + 0.5) / max(1, reach))
        weight[:reach] = rising
        weight[length - reach :] = rising.flip(0)
        return weight

    return (ramp(grid.size[0])[:, None] * ramp(grid.size[1])).to(like)


def blend_tiles(
    plane: Tensor, grid: TileGrid, function: Callable[[Tensor], Tensor], at_once: int, weight: Tensor, total: Tensor
) -> Tensor:
    """Apply a function to every tile of a batch and blend what it gives.

    plane:    [B, ..., H, W]
    function: [N, ..., h, w] -> the same shape; N is a multiple of B, tile by tile
    at_once:  how many tiles to hand over together
    weight:   of ``tile_weight``
    total:    of ``total_weight``, [H, W]
    """
    out = torch.zeros_like(plane)
    places = list(grid)
    for first in range(0, len(places), at_once):
        group = places[first : first + at_once]
        results = function(torch.cat([grid.cut(plane, place) for place in group]))
        for place, result in zip(group, results.split(len(plane)), strict=True):
            grid.cut(out, place).add_(result * weight)
    return out.div_(total)


def total_weight(grid: TileGrid, weight: Tensor, height: int, width: int) -> Tensor:
    """The sum of all tiles' weights at each pixel, [H, W]."""
    total = torch.zeros(height, width).to(weight)
    for place in grid:
        grid.cut(total, place).add_(weight)
    return total


def tile_report(grid: TileGrid, scale: int) -> dict[str, Sequence[int] | int]:
    """A grid in pixels, for reports."""
    return {
        "tiles": len(grid),
        "tile_pixels": [side * scale for side in grid.size],
        "rows": len(grid.tops),
        "columns": len(grid.lefts),
    }
