"""The icon and the banner that the Registry shows, and the README's first picture: drawn, and put together of cards."""

from __future__ import annotations

import math

from PIL import Image, ImageDraw, ImageFont

from ..core.sheet import labeled_row
from .comfyui import ROOT

NIGHT, PALE, ORANGE = "#1f2438", "#90a0dc", "#f6ab3e"
ICON, FINER = 400, 4  # pixels, and how many times larger it is drawn, so that every edge comes out smooth
BANNER = (1260, 540)
FIRST = {
    "Edit by words": "red house to blue house",
    "Change the color of one thing": "red car to blue car",
    "Sketch to art": "sketch to oil painting",
    "Edit by inversion": "day to sunset",
}
CARDS = ROOT / "workflows"


def icon(side: int = ICON) -> Image.Image:
    """A picture, the one it becomes in front of it, and the curve between them."""
    large = side * FINER
    drawn = Image.new("RGB", (large, large), NIGHT)
    draw = ImageDraw.Draw(drawn)

    def at(*shares: float) -> list[float]:
        return [share * large for share in shares]

    draw.rounded_rectangle(at(0.12, 0.235, 0.585, 0.70), 0.05 * large, outline=PALE, width=round(0.035 * large))
    draw.rounded_rectangle(at(0.415, 0.30, 0.88, 0.765), 0.05 * large, fill=ORANGE)
    for step in range(600):
        across = step / 599
        x, y = 0.475 + 0.35 * across, 0.68 - 0.30 / (1 + math.exp(-11 * (across - 0.48)))
        draw.ellipse(at(x - 0.02, y - 0.02, x + 0.02, y + 0.02), fill=NIGHT)
    return drawn.resize((side, side), Image.Resampling.LANCZOS)


def banner() -> Image.Image:
    """The icon, the name, and two cards."""
    drawn = Image.new("RGB", BANNER, NIGHT)
    drawn.paste(icon(190), (40, 60))
    draw = ImageDraw.Draw(drawn)
    draw.text((60, 290), "Img2Img Studio", "white", ImageFont.load_default(size=54))
    lines = "Image to image for ComfyUI\nthat you can steer"
    draw.multiline_text((62, 370), lines, PALE, ImageFont.load_default(size=28), spacing=10)
    for number, name in enumerate(("Edit by words", "Edit by inversion")):
        with Image.open(CARDS / f"{name}.jpg") as card:
            drawn.paste(card.resize((370, 370), Image.Resampling.LANCZOS), (480 + 388 * number, 85))
    return drawn


def before_and_after() -> Image.Image:
    """Four cards in a row, each with what it shows below."""
    pictures = [Image.open(CARDS / f"{name}.jpg") for name in FIRST]
    return labeled_row(pictures, [*FIRST.values()], 280, centered=True)


def save() -> None:
    """Write them all; the cards must have been drawn before (`nox -s workflows`)."""
    icon().save(ROOT / "icon.png", optimize=True)
    banner().save(ROOT / "banner.png", optimize=True)
    before_and_after().save(ROOT / "pictures" / "before_after.jpg", quality=90)
