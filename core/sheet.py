"""Pictures side by side with a label under each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

PAPER, INK = "#fbfaf7", "#22262b"
GAP = 8


def to_pillow(image: Tensor) -> Image.Image:
    """A picture [H, W, C] in 0..1 as 8-bit RGB, as ComfyUI saves it."""
    return Image.fromarray((image[..., :3].float().clamp(0, 1).cpu().numpy() * 255).astype(np.uint8))


def from_pillow(image: Image.Image) -> Tensor:
    """An RGB picture as [1, H, W, 3] float32 in 0..1."""
    return torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32) / 255)[None]


def labelled_row(pictures: Sequence[Image.Image], labels: Sequence[str], height: int = 192) -> Image.Image:
    """Pictures scaled to one height, in a row, each with its label below; the labels may have several lines."""
    scaled = [picture.resize((max(1, round(picture.width * height / picture.height)), height)) for picture in pictures]
    font = ImageFont.load_default(size=max(11, height // 13))
    lines = max(label.count("\n") + 1 for label in labels)
    line = sum(font.getmetrics()) + 2 if isinstance(font, ImageFont.FreeTypeFont) else 14
    widths = [picture.width for picture in scaled]
    sheet = Image.new("RGB", (sum(widths) + GAP * (len(widths) + 1), height + lines * line + 3 * GAP), PAPER)
    draw = ImageDraw.Draw(sheet)
    left = GAP
    for picture, label in zip(scaled, labels, strict=True):
        sheet.paste(picture, (left, GAP))
        draw.multiline_text((left, height + 2 * GAP), label, INK, font)
        left += picture.width + GAP
    return sheet
