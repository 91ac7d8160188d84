"""Paint the part under a mask at the model's size, and put it back at its place.

A `Region` is a plan made from a mask: a box around all that is white, with context, the same size for every mask of a
batch, so that the cut parts are a batch too. One box goes around all white areas of a mask, because what is painted
together fits together; areas that should each get the model's full size come as masks of their own.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Any

import torch
import torch.nn.functional as functional
from torch import Tensor

from .fit import Box, Size, resize
from .mask import composite, mask_kind, resized_mask, soften_outwards
from .placing import beside
from .seam import Blend, seamless

LEAST_CONTEXT = 8  # pixels on each side, so that the border of the mask is seen whole


@dataclass(frozen=True)
class Region:
    """Where the parts lie that are painted, and at which size.

    mask:    [n, H, W] at the picture's size, 0..1; a box for each
    corners: n times top and left of the box
    box:     size of the boxes in the picture
    canvas:  size at which they are painted
    shared:  True where several masks belong to one picture
    """

    mask: Tensor
    corners: tuple[tuple[int, int], ...]
    box: Size
    canvas: Size
    shared: bool

    def describe(self) -> dict[str, Any]:
        """For reports: where the parts lie, in pixels of the picture, and the size at which they were painted."""
        return {
            "boxes": [{"top": top, "left": left, **self.box._asdict()} for top, left in self.corners],
            "painted_at": self.canvas._asdict(),
        }

    def spans(self, item: int) -> tuple[slice, slice]:
        """Rows and columns of a box."""
        top, left = self.corners[item]
        return slice(top, top + self.box.height), slice(left, left + self.box.width)


def plan_region(image: Tensor, mask: Tensor, target: int, context: float, multiple: int) -> Region:
    """Plan which part of each picture is painted.

    image:    [B, H, W, C]
    mask:     [n, h, w], n = 1, n = B, or B = 1: then each mask is a part of one picture
    target:   pixels of the longer side; 0 keeps the picture's own scale
    context:  what is added on each side, as a share of the longer side of the white part
    multiple: both sides of the canvas become whole multiples of this
    """
    size = Size(*image.shape[1:3])
    masks = resized_mask(beside(image, mask), *size).clamp(0, 1)
    if 1 not in (len(image), len(masks)) and len(image) != len(masks):
        raise ValueError(f"mask: there are {len(masks)} for {len(image)} pictures; connect one for all, or one each")
    masks = masks.expand(max(len(image), len(masks)), -1, -1)
    whites = [_white_part(one, i) for i, one in enumerate(masks)]
    margin = max(
        LEAST_CONTEXT, round(context * max(max(bottom - top, right - left) for top, left, bottom, right in whites))
    )
    wanted = Size(
        max(bottom - top for top, _, bottom, _ in whites) + 2 * margin,
        max(right - left for _, left, _, right in whites) + 2 * margin,
    )
    box, canvas = _sizes(wanted, size, target, multiple)
    corners = tuple(
        (_placed(top, bottom, box.height, size.height), _placed(left, right, box.width, size.width))
        for top, left, bottom, right in whites
    )
    return Region(masks, corners, box, canvas, len(image) < len(masks))


def _white_part(mask: Tensor, item: int) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of what is not black."""
    rows, columns = ((mask > 0).any(axis).nonzero().flatten() for axis in (1, 0))
    if not len(rows):
        raise ValueError(f"mask: number {item + 1} is black everywhere; paint white where the picture may change")
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def _sizes(wanted: Size, picture: Size, target: int, multiple: int) -> tuple[Size, Size]:
    """The box in the picture and the canvas, of one shape as far as the picture reaches."""
    box = Size(*map(min, wanted, picture))
    scale = target / max(box) if target else 1.0
    canvas = Size(*(max(1, ceil(side * scale / multiple - 1e-6)) * multiple for side in box))
    reach = zip(canvas, box, picture, strict=True)
    return Size(*(min(limit, max(side, round(length / scale))) for length, side, limit in reach)), canvas


def _placed(start: int, stop: int, length: int, limit: int) -> int:
    """Where a box of a length begins, around the middle of a part, inside the picture."""
    return min(max(0, (start + stop - length) // 2), limit - length)


def cut_out(image: Tensor, region: Region) -> tuple[Tensor, Tensor]:
    """The parts at the canvas's size, [n, h, w, C], and their masks [n, h, w]; a hard mask stays hard."""
    parts, masks = [], []
    for item, mask in enumerate(region.mask):
        rows, columns = region.spans(item)
        box = Box(rows.start, columns.start, rows.stop, columns.stop)
        parts.append(resize(image[item : item + 1] if len(image) > 1 else image, region.canvas, box))
        part = functional.interpolate(mask[None, None, rows, columns], size=tuple(region.canvas), mode="area")[:, 0]
        masks.append(part if mask_kind(mask) == "soft" else (part > 0).float())
    return torch.cat(parts), torch.cat(masks)


def put_back(
    painted: Tensor, region: Region, original: Tensor, blend: Blend, feather: int = 0
) -> tuple[Tensor, Tensor]:
    """The painted parts in the original, and which pixels lie outside of them.

    painted:  [k, h, w, C] at the canvas's size; several for one part give several pictures
    original: [B, H, W, C] that the parts were cut from
    returns:  pictures [b, H, W, C], and [b, H, W] bool, True where nothing may have changed
    """
    _check(painted, region, original)
    count = 1 if region.shared else max(len(painted), len(original))
    result = original[..., :3].expand(count, -1, -1, -1).clone()
    outside = torch.ones(result.shape[:3], dtype=torch.bool, device=result.device)
    for item in range(len(painted)):
        part = item if len(region.mask) > 1 else 0
        rows, columns = region.spans(part)
        into = 0 if region.shared else item
        before = result[into : into + 1, rows, columns]
        edited = _brought_back(painted[item : item + 1, ..., :3], region).to(before)
        alpha = region.mask[part : part + 1, rows, columns].to(before)
        if blend == "seamless":
            mixed = seamless(before, edited, alpha)
        else:
            alpha = soften_outwards(alpha, feather if blend == "feather" else 0)
            mixed = composite(alpha[..., None], before, edited)
        result[into : into + 1, rows, columns] = mixed
        outside[into : into + 1, rows, columns] &= alpha == 0
    return torch.cat([result, original[..., 3:].expand(count, -1, -1, -1)], -1), outside


def _brought_back(painted: Tensor, region: Region) -> Tensor:
    """A painted part [1, h, w, 3] at the box's size, with what going there and back takes from edges added again.

    One step of iterative back-projection (Irani and Peleg 1991): a part that nobody painted comes back about twice as
    faithful. Where nothing is resampled it changes nothing.
    """
    small = resize(painted, region.box)
    again = resize(resize(small, region.canvas), region.box)
    return (2 * small - again).clamp_(0, 1)


def _check(painted: Tensor, region: Region, original: Tensor) -> None:
    if painted.shape[1:3] != region.canvas:
        raise ValueError(
            f"image is {painted.shape[2]} x {painted.shape[1]} pixels, but the part was cut at {region.canvas.width} x "
            f"{region.canvas.height}: connect it at that size, and enlarge only the whole picture"
        )
    if original.shape[1:3] != region.mask.shape[1:]:
        raise ValueError(
            f"original is {original.shape[2]} x {original.shape[1]} pixels, but the part was cut from "
            f"{region.mask.shape[2]} x {region.mask.shape[1]}: connect the picture that went into Inpaint Crop"
        )
    if len(region.mask) > 1 and len(painted) != len(region.mask):
        raise ValueError(f"image: {len(painted)} parts for {len(region.mask)} masks; connect one painted part for each")
    if len(original) not in (1, len(painted)):
        raise ValueError(
            f"original: {len(original)} pictures for {len(painted)} parts; connect one for all, or one each"
        )
