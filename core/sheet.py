"""Pictures side by side with a label under each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as functional
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PAPER, INK, FAINT = "#fbfaf7", "#22262b", "#6c737c"
GAP = 8


def to_pillow(image: Tensor) -> Image.Image:
    """A picture [H, W, C] in 0..1 as 8-bit RGB, as ComfyUI saves it."""
    return Image.fromarray((_in_color(image).float().clamp(0, 1).cpu().numpy() * 255).astype(np.uint8))


def _in_color(image: Tensor) -> Tensor:
    """The three channels of a picture [..., C]; gray has one for all."""
    return image.expand(*image.shape[:-1], 3) if image.shape[-1] == 1 else image[..., :3]


def from_pillow(image: Image.Image) -> Tensor:
    """An RGB picture as [1, H, W, 3] float32 in 0..1."""
    return torch.from_numpy(np.asarray(image.convert("RGB"), dtype=np.float32) / 255)[None]


def thumbnail(image: Tensor, side: int) -> Image.Image:
    """A picture [H, W, C] in 0..1 as 8-bit RGB, its longer side ``side`` pixels at most."""
    scale = side / max(image.shape[:2])
    if scale < 1.0:
        height, width = (max(1, round(length * scale)) for length in image.shape[:2])
        planes = image[None, ..., :3].movedim(-1, 1).float()
        image = functional.adaptive_avg_pool2d(planes, (height, width))[0].movedim(0, -1)
    return to_pillow(image)


def labeled_row(
    pictures: Sequence[Image.Image], labels: Sequence[str], height: int = 192, centered: bool = False
) -> Image.Image:
    """Pictures scaled to one height, in a row, each with its label below; the labels may have several lines.

    centered: center each label under its picture, instead of starting at the picture's left edge
    """
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
        start, anchor, align = (left + picture.width / 2, "ma", "center") if centered else (left, "la", "left")
        draw.multiline_text((start, height + 2 * GAP), label, INK, font, anchor, align=align)
        left += picture.width + GAP
    return sheet


Box = tuple[float, float, float, float]
"""Left, top, width and height of a part of a sheet, as shares of its size."""


def labeled_grid(
    pictures: Sequence[Image.Image], labels: Sequence[str], rows: Sequence[str], columns: Sequence[str], corner: str
) -> tuple[Image.Image, list[Box]]:
    """Pictures as a table, row by row, with headings and a label under each; and where on the sheet each one lies.

    pictures: len(rows) * len(columns) of one size
    corner:   what stands above the row headings
    """
    width, height = pictures[0].size
    font, small = (ImageFont.load_default(size=max(least, width // part)) for least, part in ((13, 16), (11, 22)))
    line, note = (int(font.getbbox("Ag")[3]) + GAP for font in (font, small))
    wanted = max(small.getlength(text) for text in (*rows, corner)) + 2 * GAP
    margin = min(int(wanted), max(width, 160))
    step = (width + GAP, height + note + GAP)
    corners = [(margin + c * step[0], line + GAP + r * step[1]) for r in range(len(rows)) for c in range(len(columns))]
    sheet = Image.new("RGB", (margin + step[0] * len(columns), line + GAP + step[1] * len(rows)), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP, GAP), _shortened(corner, small, margin - 2 * GAP), FAINT, small)
    for text, (left, _) in zip(columns, corners, strict=False):
        draw.text((left, GAP), _shortened(text, font, width), INK, font)
    for text, (_, top) in zip(rows, corners[:: len(columns)], strict=True):
        draw.text((GAP, top + height // 2), _shortened(text, small, margin - 2 * GAP), INK, small)
    for picture, label, (left, top) in zip(pictures, labels, corners, strict=True):
        sheet.paste(picture, (left, top))
        draw.text((left, top + height + GAP // 2), _shortened(label, small, width), FAINT, small)
    across, down = sheet.size
    return sheet, [(left / across, top / down, width / across, height / down) for left, top in corners]


def _shortened(text: str, font: Font, room: float) -> str:
    """A text cut to the room it has, in one line."""
    text = text.replace("\n", " ")
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "...") > room:
        text = text[:-1]
    return text + "..."
