"""Before and after: pictures as small ones beside each other, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
    couples = [_of_one_size(before[min(item, len(before) - 1)], after[item]) for item in range(count)]
    found = [_pair(name, *couple) for name, couple in zip(names, couples, strict=False)]
    if count == 1 and max(couples[0][1].shape) > SIDE:
        box = _most_changed(*couples[0])
        found.append(_pair("pixel by pixel", *(picture[box] for picture in couples[0])))
    return found


def _of_one_size(before: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    after = after[..., :3]
    return resize(before[None, ..., :3], Size(*after.shape[:2]))[0].to(after), after


def _pair(name: str, before: Tensor, after: Tensor) -> Pair:
    change = _change(before, after)
    largest = float(change.max())
    small = [max(1, round(side * min(1.0, SIDE / max(change.shape)))) for side in change.shape]
    # The largest of each patch, not its mean: one changed pixel of a large picture is to be seen.
    seen = functional.adaptive_max_pool2d(change[None], small)[0] / (largest or 1.0)
    difference = to_pillow(seen[..., None].expand(-1, -1, 3))
    return Pair(name, thumbnail(before, SIDE), thumbnail(after, SIDE), difference, largest)


def _change(before: Tensor, after: Tensor) -> Tensor:
    """How far the colors of each pixel are apart, [H, W]: the largest of its channels."""
    return (after.clamp(0, 1) - before.clamp(0, 1)).abs().amax(-1).float()


def _most_changed(before: Tensor, after: Tensor) -> tuple[slice, slice]:
    """The rows and columns of the part, SIDE across at most, that changed most."""
    height, width = before.shape[:2]
    blocks = functional.avg_pool2d(_change(before, after)[None], BLOCK, ceil_mode=True)[0]
    window = [min(SIDE // BLOCK, length) for length in blocks.shape]
    sums = functional.avg_pool2d(blocks[None], window, stride=1)[0]
    row, column = divmod(int(torch.argmax(sums)), sums.shape[1])
    top, left = (max(0, min(start * BLOCK, length - SIDE)) for start, length in ((row, height), (column, width)))
    return slice(top, top + SIDE), slice(left, left + SIDE)
