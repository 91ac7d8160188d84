"""Tiles: a large latent denoised in parts of equal size that are blended at every step.

Source: MultiDiffusion (arXiv:2302.08113); all tiles see one noised latent, so there is one noise and no seam to hide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

Places = tuple[tuple[int, int], ...]


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

    def groups(self, at_once: int) -> list[Places]:
        """The places of all tiles in order, so many together; the last group may be smaller."""
        places = tuple(self)
        return [places[first : first + at_once] for first in range(0, len(places), at_once)]

    def scaled(self, factor: int) -> TileGrid:
        """The same grid on a plane whose sides are so many times as long."""
        tops, lefts = (tuple(start * factor for start in starts) for starts in (self.tops, self.lefts))
        return TileGrid((self.size[0] * factor, self.size[1] * factor), tops, lefts, self.overlap * factor)

    def cut(self, plane: Tensor, place: tuple[int, int]) -> Tensor:
        """The tile of a tensor [..., H, W] at a place, as a view."""
        top, left = place
        return plane[..., top : top + self.size[0], left : left + self.size[1]]

    def stack(self, plane: Tensor, places: Places, batch: int) -> Tensor:
        """Tiles of n planes [n, ..., H, W], which stand for ``batch`` pictures in turn: [places * batch, ..., h, w]."""
        pictures = plane if len(plane) == batch else plane[torch.arange(batch) % len(plane)]
        return torch.cat([self.cut(pictures, place) for place in places])


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
    plane: Tensor,
    grid: TileGrid,
    function: Callable[[Tensor, Places], Tensor],
    at_once: int,
    weight: Tensor,
    total: Tensor,
) -> Tensor:
    """Apply a function to every tile of a batch and blend what it gives.

    plane:    [B, ..., H, W]
    function: ([N * B, ..., h, w], N places) -> the same shape, tile by tile
    at_once:  how many tiles to hand over together
    weight:   of ``tile_weight``
    total:    of ``total_weight``, [H, W]
    """
    out = torch.zeros_like(plane)
    for places in grid.groups(at_once):
        results = function(grid.stack(plane, places, len(plane)), places)
        for place, result in zip(places, results.split(len(plane)), strict=True):
            grid.cut(out, place).add_(result * weight)
    return out.div_(total)


def convert_tiles(
    plane: Tensor, source: TileGrid, target: TileGrid, sides: tuple[int, int], function: Callable[[Tensor], Tensor]
) -> Tensor:
    """Blend what a function makes of each tile where it comes back at another size, as from a VAE.

    plane:    [B, ..., H, W], cut by ``source``
    function: [B, ..., h, w] -> a tile of ``target``, any channels
    sides:    height and width of what ``target`` covers

    returns: [..., *sides]
    """
    out, total = torch.zeros(()), torch.zeros(sides)
    weight = tile_weight(target, total)
    for place, goal in zip(source, target, strict=True):
        result = function(source.cut(plane, place))
        if out.ndim == 0:
            out = result.new_zeros((*result.shape[:-2], *sides))
            weight, total = weight.to(result), total.to(result)
        target.cut(out, goal).add_(result * weight)
        target.cut(total, goal).add_(weight)
    return out.div_(total)


def total_weight(grid: TileGrid, weight: Tensor, height: int, width: int) -> Tensor:
    """The sum of all tiles' weights at each pixel, [H, W]."""
    total = torch.zeros(height, width).to(weight)
    for place in grid:
        grid.cut(total, place).add_(weight)
    return total


def area_mask(area: Sequence[int], dims: Sequence[int], faded: bool) -> Tensor:
    """Where a prompt with an area acts, weighed as ComfyUI weighs it.

    area:  the box's sizes along the last dims, then its first places along them
    dims:  of the whole plane
    faded: whether the weight rises over up to 8 cells from borders that are not the plane's own

    returns: [*dims], 0 outside
    """
    sides = len(area) // 2
    mask = torch.ones(tuple(dims))
    for place, (size, start) in enumerate(zip(area[:sides], area[sides:], strict=True)):
        axis = len(dims) - sides + place
        mask *= _area_weight(dims[axis], start, size, faded).reshape(-1, *[1] * (len(dims) - axis - 1))
    return mask


def _area_weight(length: int, start: int, size: int, faded: bool) -> Tensor:
    stop = min(start + size, length)
    reach = min(8, max(0, stop - start) // 4) if faded else 0
    weight, rising = torch.zeros(length), torch.arange(1, reach + 1) / max(1, reach)
    weight[start:stop] = 1.0
    if start > 0:
        weight[start : start + reach] *= rising
    if stop < length:
        weight[stop - reach : stop] *= rising.flip(0)
    return weight


def tile_report(grid: TileGrid, scale: int) -> dict[str, Sequence[int] | int]:
    """A grid in pixels, for reports."""
    return {
        "tiles": len(grid),
        "tile_pixels": [side * scale for side in grid.size],
        "rows": len(grid.tops),
        "columns": len(grid.lefts),
    }
