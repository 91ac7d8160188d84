"""Before and after: pictures as small ones beside each other, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
import torch.nn.functional as functional
from PIL import Image
from torch import Tensor

from .fit import Size, resize
from .sheet import thumbnail, to_pillow

SIDE = 512  # pixels of the longer side
MOST_PAIRS = 16
BLOCK = 64  # pixels between the places where the largest change is looked for

Pictures = Tensor | Sequence[Tensor]
"""Pictures [H, W, C] in 0..1, as a batch or one by one."""


@dataclass(frozen=True, eq=False, repr=False)
class Pair:
    """A picture before and after, small, of one size.

    name:       what it is called where there are several
    difference: the largest difference of a color, white where it is ``largest``, black where there is none
    largest:    0..1
    """

    name: str
    before: Image.Image
    after: Image.Image
    difference: Image.Image
    largest: float


def before_and_after(before: Pictures, after: Pictures, names: Sequence[str] = ()) -> list[Pair]:
    """The first few pictures of a batch; a large single one also where it changed most, pixel by pixel.

    before: [h, w, C] each, brought to the size of the other one; the last stands for those that are missing
    after:  [H, W, C] each
    names:  of the pictures; without, several of them are numbered
    """
    count = min(len(after), MOST_PAIRS)
    names = names or ([str(item + 1) for item in range(count)] if count > 1 else ["whole"])
    found = []
    for item in range(count):
        planes = _planes(before[min(item, len(before) - 1)], after[item])
        found.append(_pair(names[item], *planes))
        if count == 1 and max(after[item].shape) > SIDE:
            box = _most_changed(planes[-1])
            found.append(_pair("pixel by pixel", *(plane[box] for plane in planes)))
    return found


def _planes(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both pictures at the size of the second one, and how far each pixel's colors are apart, [H, W]."""
    before, after = before[..., :3], after[..., :3]
    if before.shape != after.shape:
        before = resize(before[None], Size(*after.shape[:2]))[0]
    before = before.to(after)
    apart = (after - before).abs_().unbind(-1)  # channel by channel is three times as fast as along the channels
    return before, after, reduce(torch.maximum, apart).float()


def _pair(name: str, before: Tensor, after: Tensor, change: Tensor) -> Pair:
    largest = min(1.0, float(change.max()))
    small = [max(1, round(side * min(1.0, SIDE / max(change.shape)))) for side in change.shape]
    # The largest of each patch, not its mean: one changed pixel of a large picture is to be seen.
    seen = functional.adaptive_max_pool2d(change[None], small)[0] / (largest or 1.0)
    difference = to_pillow(seen[..., None].expand(-1, -1, 3))
    return Pair(name, thumbnail(before, SIDE), thumbnail(after, SIDE), difference, largest)


def _most_changed(change: Tensor) -> tuple[slice, slice]:
    """The rows and columns of the part, SIDE across at most, that changed most."""
    height, width = change.shape
    blocks = functional.avg_pool2d(change[None], BLOCK, ceil_mode=True)[0]
    window = [min(SIDE // BLOCK, length) for length in blocks.shape]
    sums = functional.avg_pool2d(blocks[None], window, stride=1)[0]
    row, column = divmod(int(torch.argmax(sums)), sums.shape[1])
    top, left = (max(0, min(start * BLOCK, length - SIDE)) for start, length in ((row, height), (column, width)))
    return slice(top, top + SIDE), slice(left, left + SIDE)
