"""Tiles: a large latent denoised in parts of equal size that are blended at every step.

Source: MultiDiffusion (arXiv:2302.08113); all tiles see one noised latent, so there is one noise and no seam to hide.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

Offsets = tuple[tuple[int, int], ...]
"""(top, left) of some tiles."""


VAE_TILE, VAE_OVERLAP = 512, 128  # pixels; the tile is what ComfyUI's own tiled nodes begin with


@dataclass(frozen=True)
class TileGrid:
    """Where tiles of one size lie on a plane.

    size:    (height, width) of a tile
    tops, lefts: their first rows and columns; every row of tiles has every column
    """

    size: tuple[int, int]
    tops: tuple[int, ...]
    lefts: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.tops) * len(self.lefts)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return ((top, left) for top in self.tops for left in self.lefts)

    @property
    def overlap(self) -> tuple[int, int]:
        """How far neighbors reach into each other at least, down and across; 0 where there are none."""

        def least(side: int, starts: tuple[int, ...]) -> int:
            return min((side - (after - before) for before, after in pairwise(starts)), default=0)

        return least(self.size[0], self.tops), least(self.size[1], self.lefts)

    def groups(self, at_once: int) -> list[Offsets]:
        """The offsets of all tiles in order, so many together; the last group may be smaller."""
        offsets = tuple(self)
        return [offsets[first : first + at_once] for first in range(0, len(offsets), at_once)]

    def scaled(self, factor: int) -> TileGrid:
        """The same grid on a plane whose sides are so many times as long."""
        tops, lefts = (tuple(start * factor for start in starts) for starts in (self.tops, self.lefts))
        return TileGrid((self.size[0] * factor, self.size[1] * factor), tops, lefts)

    def cut(self, plane: Tensor, offset: tuple[int, int]) -> Tensor:
        """The tile of a tensor [..., H, W] at an offset, as a view."""
        top, left = offset
        return plane[..., top : top + self.size[0], left : left + self.size[1]]

    def stack(self, plane: Tensor, offsets: Offsets, batch: int) -> Tensor:
        """Tiles of n planes [n, ..., H, W], which stand for ``batch`` pictures in turn: [N * batch, ..., h, w]."""
        pictures = plane if len(plane) == batch else torch.cat([plane] * math.ceil(batch / len(plane)))[:batch]
        return torch.cat([self.cut(pictures, offset) for offset in offsets])


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
    return TileGrid((min(tile, height), min(tile, width)), tops, lefts)


def _starts(length: int, tile: int, overlap: int) -> tuple[int, ...]:
    count = max(1, math.ceil((length - overlap) / (tile - overlap))) if tile > overlap else 1
    return tuple(round(index * (length - tile) / max(1, count - 1)) for index in range(count))


def plan_vae_tiles(height: int, width: int, tile: int, unit: int) -> TileGrid:
    """Tiles for a VAE, in cells of the latent: they reach far into each other, because a VAE errs near its borders.

    Where the model's tiles are small, the VAE's are larger, or most of its work would be done several times over.
    One pass of these shows no seams, where the three passes of ComfyUI's tiled nodes do (benchmarks/tiles.py).

    height, width: in cells
    tile:          pixels, of a tile for the model
    unit:          pixels of a cell
    """
    return plan_tiles(height, width, max(tile, VAE_TILE) // unit, VAE_OVERLAP // unit)


def tile_weight(grid: TileGrid, like: Tensor) -> Tensor:
    """How much a tile counts at each of its pixels: 1 in the middle, falling smoothly over the overlap; [h, w].

    Over all that the plan lets neighbors share, which is often more than was asked for.
    """

    def ramp(length: int, overlap: int) -> Tensor:
        reach = min(overlap, length // 2)
        weight = torch.ones(length)
        rising = 0.5 - 0.5 * torch.cos(math.pi * (torch.arange(reach) + 0.5) / max(1, reach))
        weight[:reach] = rising
        weight[length - reach :] = rising.flip(0)
        return weight

    down, across = map(ramp, grid.size, grid.overlap)
    return (down[:, None] * across).to(like)


def blend_tiles(
    plane: Tensor,
    grid: TileGrid,
    function: Callable[[Tensor, Offsets], Sequence[Tensor]],
    at_once: int,
    weight: Tensor,
    total: Tensor,
) -> list[Tensor]:
    """Apply a function to every tile of a batch and blend each of its answers.

    plane:    [B, ..., H, W]
    function: ([N * B, ..., h, w], N offsets) -> answers of the same shape, tile by tile
    at_once:  how many tiles to hand over together
    weight:   of ``tile_weight``
    total:    of ``total_weight``, [H, W]

    returns: [B, ..., H, W] for each answer
    """
    out: list[Tensor] = []
    for offsets in grid.groups(at_once):
        answers = function(grid.stack(plane, offsets, len(plane)), offsets)
        out = out or [torch.zeros_like(plane) for _ in answers]
        for whole, answer in zip(out, answers, strict=True):
            for offset, tile in zip(offsets, answer.split(len(plane)), strict=True):
                grid.cut(whole, offset).add_(tile * weight)
    return [whole.div_(total) for whole in out]


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
    for offset, goal in zip(source, target, strict=True):
        result = function(source.cut(plane, offset))
        if out.ndim == 0:
            out = result.new_zeros((*result.shape[:-2], *sides))
            weight, total = weight.to(result), total.to(result)
        target.cut(out, goal).add_(result * weight)
        target.cut(total, goal).add_(weight)
    return out.div_(total)


def total_weight(grid: TileGrid, weight: Tensor, height: int, width: int) -> Tensor:
    """The sum of all tiles' weights at each pixel, [H, W]."""
    total = torch.zeros(height, width).to(weight)
    for offset in grid:
        grid.cut(total, offset).add_(weight)
    return total


def tile_report(grid: TileGrid, scale: int) -> dict[str, Sequence[int] | int]:
    """A grid in pixels, for reports."""
    return {
        "tiles": len(grid),
        "tile_pixels": [side * scale for side in grid.size],
        "rows": len(grid.tops),
        "columns": len(grid.lefts),
    }
