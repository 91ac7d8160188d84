"""Pictures side by side, each with a line under it."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

SPACE, LINE, INK, PAPER = 12, 30, (40, 40, 40), (250, 250, 250)


def labelled_row(pictures: Sequence[Image.Image], labels: Sequence[str], height: int) -> Image.Image:
    """One picture that shows all of `pictures` scaled to `height` pixels, with its label under each."""
    scaled = [_to_height(picture.convert("RGB"), height) for picture in pictures]
    width = SPACE + sum(picture.width + SPACE for picture in scaled)
    row = Image.new("RGB", (width, height + LINE + 2 * SPACE), PAPER)
    draw = ImageDraw.Draw(row)
    font = ImageFont.load_default(18)
    left = SPACE
    for picture, label in zip(scaled, labels, strict=True):
        row.paste(picture, (left, SPACE))
        middle = (left + picture.width // 2, SPACE + height + LINE // 2 + 2)
        draw.text(middle, label, fill=INK, font=font, anchor="mm")
        left += picture.width + SPACE
    return row


def _to_height(picture: Image.Image, height: int) -> Image.Image:
    width = max(1, round(picture.width * height / picture.height))
    return picture.resize((width, height), Image.Resampling.LANCZOS)
