"""Masks: 1 where the picture may change, 0 where it must stay."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from .blur import gaussian_blur
from .lazy import comfyui_package

MaskKind = Literal["all", "none", "hard", "soft"]
MaskedContent = Literal["original", "fill", "noise", "neutral"]
MASKED_CONTENTS: tuple[MaskedContent, ...] = get_args(MaskedContent)


def mask_kind(mask: Tensor) -> MaskKind:
    """``all`` ones, ``none`` (all zeros), ``hard`` (only 0 and 1) or ``soft``; decided before any resizing."""
    low, high = (float(value) for value in mask.aminmax())
    if low >= 1.0:
        return "all"
    if high <= 0.0:
        return "none"
    return "hard" if bool(((mask == 0) | (mask == 1)).all()) else "soft"


def resized_mask(mask: Tensor, height: int, width: int) -> Tensor:
    """A mask at the size of a picture, as ComfyUI resizes it.

    mask:    [B, H, W] or [B, 1, H, W], 0..1
    returns: [B, height, width] float32
    """
    plane = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    if plane.shape[-2:] != (height, width):
        plane = functional.interpolate(plane, size=(height, width), mode="bilinear")
    return plane[:, 0]


def same_shape(mask: tuple[int, int], picture: tuple[int, int]) -> bool:
    """Whether one is the other enlarged, up to the rounding of a side: a pixel of whichever is coarser.

    mask, picture: height and width, of a picture or of its latent
    """
    for side, other in ((0, 1), (1, 0)):
        scale = picture[side] / mask[side]
        if abs(picture[other] - scale * mask[other]) < max(1.0, scale):
            return True
    return False


def planes_of_mask(mask: Tensor, batch: int, frames: int) -> Tensor:
    """A mask for latent clips: which plane belongs to which of the pictures and latent frames.

    A mask with as many planes as there are pictures of one frame each has one for each of them. One with as many planes
    as the clip had frames before it was encoded is brought to latent frames as video VAEs make them: the first frame
    alone, then one of each group.

    mask:    [n, H, W] or [n, 1, H, W], or [n, 1, t, H, W] where its frames are latent ones already
    batch:   pictures or clips
    frames:  latent frames of each
    returns: [1 or batch, 1, 1 or frames, H, W]; any other number of planes is left as frames, to be resized
    """
    if mask.ndim == 5:
        return mask
    planes = mask.reshape(-1, *mask.shape[-2:])
    count = len(planes)
    if count == batch and (frames == 1 or (count != frames and not frames_in_group(count, frames))):
        return planes[:, None, None]
    if frames == 1:
        return planes[:batch, None, None]
    if count > frames and (group := frames_in_group(count, frames)):
        rest = planes[1 : 1 + group * (frames - 1)].reshape(frames - 1, group, *planes.shape[1:])
        planes = torch.cat([planes[:1], rest.mean(1)])
    return planes[None, None]


def frames_in_group(pixel_frames: int, latent_frames: int) -> int:
    """How many frames a video VAE makes one of after the first; 0 where the numbers do not belong together."""
    if latent_frames < 2 or pixel_frames <= latent_frames:
        return 0
    group, rest = divmod(pixel_frames - 1, latent_frames - 1)
    if rest == 0:
        return group
    # frames that do not fill a group are dropped by the VAE, or make one more latent frame
    known = (4, 8, 6)
    return next((group for group in known if latent_frames == 1 + (pixel_frames - 1) // group), 0)


def keep_outside(mask: Tensor, original: Tensor, changed: Tensor) -> Tensor:
    """The changed latent inside the mask and, where the mask is exactly 0, the original's own bits.

    mask:              broadcastable to the latents, at their resolution
    original, changed: [B, C, ..., H, W], or pictures [B, H, W, C]
    """
    return torch.where(mask == 0, original, changed)


def composite(mask: Tensor, original: Tensor, changed: Tensor) -> Tensor:
    """Both blended by the mask: where it is exactly 0 the original's own bits, where it is exactly 1 the changed ones.

    mask:              0..1, broadcastable to both, of any dtype
    original, changed: of one shape and dtype
    """
    blended = torch.lerp(original, changed, mask.to(original).expand_as(original))
    return keep_outside(mask, original, torch.where(mask == 1, changed, blended))


def soft_mask_at(mask: Tensor, progress: Tensor) -> Tensor:
    """The hard mask of one moment of a run under a soft mask (differential diffusion, arXiv:2306.00950).

    A pixel of value m is free once the run's strength has fallen to m times its first strength.

    mask:     [B, 1, ..., H, W], 0..1
    progress: what is left of the first strength, 1 (start) .. 0 (end), a scalar tensor
    """
    return ((mask >= progress) & (mask > 0)).to(mask.dtype)


def masked_content(latent: Tensor, mask: Tensor, content: MaskedContent, noise: Tensor, neutral: Tensor) -> Tensor:
    """What stands under the mask before noising; outside it the latent's own bits.

    latent:  [B, C, ..., H, W]
    mask:    broadcastable to it
    content: ``original``, ``fill`` (the surroundings drawn inwards), ``noise`` or ``neutral`` gray
    noise, neutral: what those two contents are made of, in the latent's space
    """
    if content == "original":
        return latent
    inside = {"fill": fill_inwards, "noise": lambda *_: noise, "neutral": lambda *_: neutral}[content](latent, mask)
    return torch.where(mask > 0, torch.lerp(latent, inside.expand_as(latent), mask.expand_as(latent)), latent)


def fill_inwards(latent: Tensor, mask: Tensor) -> Tensor:
    """Colors from the border of the mask drawn smoothly inwards (push-pull, Gortler et al. 1996).

    Known pixels are averaged into coarser and coarser pictures until every pixel is known, then each coarser picture
    fills the holes of the next finer one.

    latent: [B, C, ..., H, W]; mask: broadcastable, 1 in the hole
    """
    known = (1.0 - mask.expand_as(latent)).reshape(-1, 1, *latent.shape[-2:])
    values = latent.reshape(-1, 1, *latent.shape[-2:])
    return _push_pull(values * known, known).reshape(latent.shape)


def _push_pull(weighted: Tensor, weight: Tensor) -> Tensor:
    height, width = weighted.shape[-2:]
    average = weighted / weight.clamp_min(1e-6)
    if max(height, width) == 1:
        return average
    pad = (0, width % 2 if width > 1 else 0, 0, height % 2 if height > 1 else 0)
    window = (min(2, height), min(2, width))
    coarse = [functional.avg_pool2d(functional.pad(part, pad), window) for part in (weighted, weight)]
    filled = functional.interpolate(_push_pull(*coarse), size=(height + pad[3], width + pad[1]), mode="bilinear")
    return torch.lerp(filled[..., :height, :width], average, weight.clamp(0, 1))


def soften_outwards(mask: Tensor, reach: int) -> Tensor:
    """A mask that falls off outside over ``reach`` pixels; inside it keeps its values.

    mask:  [B, H, W]
    reach: pixels, 0 or more; distances are counted along the larger of both axes
    """
    soft = mask[:, None]
    for _ in range(reach):
        soft = torch.maximum(soft, _largest(soft, 3, 3) - 1.0 / (reach + 1))
    return soft[:, 0]


def grown(mask: Tensor, reach: int) -> Tensor:
    """A mask that is wider by ``reach`` pixels on every side: a pixel takes the largest value in an octagon around it.

    The octagon has all its sides at a distance of ``reach``, so that what is round stays round. It is a square spread
    over a diamond, so that it costs passes along the axes alone.

    mask:  [B, H, W]
    reach: pixels; below 0 the mask becomes narrower by as many, but not at the edge of the picture
    """
    if reach < 0:
        return 1 - grown(1 - mask, -reach)
    square = round(reach * (math.sqrt(2) - 1))
    wide = mask[:, None]
    for _ in range(reach - square):
        wide = torch.maximum(_largest(wide, 3, 1), _largest(wide, 1, 3))
    side = 2 * square + 1
    return _largest(_largest(wide, side, 1), 1, side)[:, 0]


def _largest(plane: Tensor, height: int, width: int) -> Tensor:
    """The largest value in a window around each pixel, [B, 1, H, W]; both sides are odd."""
    return functional.max_pool2d(plane, (height, width), 1, (height // 2, width // 2))


def without_holes(mask: Tensor) -> Tensor:
    """A mask whose holes are white: what is closed in by white of 1/2 or more, not even open across a corner.

    mask: [B, H, W], 0..1
    """
    fill = comfyui_package("scipy.ndimage").binary_fill_holes
    whole = np.stack([fill(one) for one in (mask >= 0.5).cpu().numpy()])
    return torch.maximum(mask, torch.from_numpy(whole).to(mask))


def blurred(mask: Tensor, reach: int) -> Tensor:
    """A mask whose border is soft over ``reach`` pixels on each side, by a Gaussian of a third of that.

    Values are rounded to 16 bits, so that what lies farther from a border is exactly what it was where that was 0 or 1.

    mask: [B, H, W], 0..1
    """
    if reach == 0:
        return mask
    soft = gaussian_blur(mask[:, None].float(), reach / 3)[:, 0]
    return (soft.clamp(0, 1) * 65535).round() / 65535
