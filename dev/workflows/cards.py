"""The thumbnails of the workflows: square, with before and after side by side, painted by the toy in its own world.

A Card says for each workflow which scene it starts from, what is asked of the toy, and how the pictures fill the card.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from ...demo import scene as world
from ..api_prompt import TOY_SIZE, Prompt, on_demo_checkpoint, savers
from ..server import Server

SIDE, LINE = 400, 4
HOUSE = {"kind": "house"}
CAR = {"kind": "car"}
BOAT = {"kind": "boat", "color": "blue"}
TREE = {"kind": "tree", "color": "yellow", "season": "autumn"}
RED_HOUSE = "a flat picture of a red house in summer by day"
BLUE_HOUSE = "a flat picture of a blue house in summer by day"
FOLDER = "card"

Pictures = list[Image.Image]
Layout = Callable[[Image.Image, Pictures, float], Image.Image]


def split(before: Image.Image, after: Pictures, focus: float) -> Image.Image:
    """The same part of both, the left half before, the right half after."""
    return _columns([before, after[0]], focus)


def columns(before: Image.Image, after: Pictures, focus: float) -> Image.Image:
    """Before, and two results beside it."""
    return _columns([before, *after[:2]], focus)


def quarters(before: Image.Image, after: Pictures, focus: float) -> Image.Image:
    """Four results."""
    return _table(after[:4], 2)


def rows(before: Image.Image, after: Pictures, focus: float) -> Image.Image:
    """Several pictures above, what became of them below."""
    half = len(after) // 2
    return _table(after, half)


def sheet(before: Image.Image, after: Pictures, focus: float) -> Image.Image:
    """One result, whole."""
    return _filled(after[0])


def plot(before: Image.Image, after: Pictures, focus: float) -> Image.Image:
    """The lower right of a plot, where its bars are."""
    drawn = after[0]
    side = round(drawn.height * 0.56)
    return _filled(drawn.crop((drawn.width - side, drawn.height - side, drawn.width, drawn.height)))


def closer(before: Image.Image, after: Pictures, focus: float) -> Image.Image:
    """The pixels of a small part before, and the same part enlarged."""

    def part(picture: Image.Image) -> Image.Image:
        width, height = picture.size
        return picture.crop((round(0.3 * width), round(0.42 * height), round(0.62 * width), round(0.74 * height)))

    small, large = part(before), part(after[0])
    return _columns([small.resize((SIDE, SIDE), Image.Resampling.NEAREST), large], 0.5)


@dataclass(frozen=True)
class Card:
    """How a workflow's thumbnail is made.

    shows:  attributes of the scene, of several for a folder
    says:   what each prompt says, by the title of its node; a plain text is the one titled Prompt
    set:    values of inputs, by node class and input
    mask:   left, top, right, bottom of what is painted in Load Image, as shares of the picture
    layout: how the card is filled
    focus:  where the middle of the interesting part lies across, as a share of the width
    worn:   the picture is worn by blur and noise first
    """

    says: str | dict[str, str] = ""
    shows: tuple[dict[str, str], ...] = (HOUSE,)
    set: dict[tuple[str, str], Any] = field(default_factory=dict)
    mask: tuple[float, float, float, float] | None = None
    layout: Layout = split
    focus: float = 0.42
    seed: int = world.EXAMPLE_SEED
    worn: bool = False


AROUND_THE_HOUSE = (0.14, 0.36, 0.70, 0.88)
EDIT: dict[str, str] = {"Source prompt": RED_HOUSE, "Edit prompt": BLUE_HOUSE}
GRID = "Img2ImgStrengthGrid"
ONE = "Img2ImgAllInOne"
CARDS: dict[str, Card] = {
    "Try it without a model": Card("a blue house in winter, a watercolor", set={("PrimitiveInt", "value"): 1}),
    "Image to image": Card("an oil painting of a yellow tree at sunset in autumn", (TREE,)),
    "All in one node": Card("a pencil drawing of a blue boat in summer by day", (BOAT,), focus=0.5),
    "One picture at four strengths": Card(
        "a flat picture of a red house at night in winter", layout=quarters, set={(GRID, "cfg"): 4.0}
    ),
    "What strength means on this model": Card(layout=plot),
    "Keep the outlines with ControlNet": Card(
        "a watercolor of a purple house in summer at sunset", set={(ONE, "strength"): 0.6}
    ),
    "Change the color of one thing": Card(
        {"Prompt": "a flat picture of a blue car in summer by day"}, (CAR,), seed=world.CAR_SEED, focus=0.52
    ),
    "Enhance a photo": Card(RED_HOUSE, worn=True, set={("Img2ImgStrengthPreset", "amount"): 1.0}),
    "Day to night": Card(
        "a flat picture of a red house in summer at night", set={("Img2ImgStrengthPreset", "amount"): 1.0}
    ),
    "Sketch to art": Card(
        "an oil painting of a green house in autumn by day",
        ({"kind": "house", "style": "pencil", "color": "green", "season": "autumn"},),
    ),
    "Remove an object": Card(
        "a flat picture of summer by day",
        (TREE | {"season": "summer"},),
        mask=(0.14, 0.2, 0.72, 0.95),
        set={("PrimitiveInt", "value"): 2},
    ),
    "Inpaint": Card("a flat picture of a yellow house in summer by day", mask=AROUND_THE_HOUSE, set={(ONE, "seed"): 4}),
    "Inpaint a small part": Card(
        "a flat picture of a purple car in summer by day",
        (CAR,),
        mask=(0.28, 0.4, 0.82, 0.86),
        seed=world.CAR_SEED,
        focus=0.52,
    ),
    "Soft mask": Card("a flat picture of a red house in winter at night", layout=sheet, set={(ONE, "strength"): 1.0}),
    "Outpaint": Card("a flat picture of a red house in summer by day", layout=sheet),
    "Upscale four times": Card(RED_HOUSE, layout=closer),
    "Edit by words": Card(EDIT),
    "Keep what I did not ask to change": Card(
        EDIT | {"Edit prompt": "a flat picture of a purple house in summer by day"}, layout=columns
    ),
    "Edit by inversion": Card(EDIT | {"Edit prompt": "a flat picture of a red house in summer at sunset"}),
    "Edit at high cfg with null-text": Card(EDIT | {"Edit prompt": "a flat picture of a red house in winter by day"}),
    "Invert and reconstruct": Card({"Source prompt": "a flat picture of a blue boat by day"}, (BOAT,), focus=0.5),
    "Watch a picture become noise": Card(
        {"Source prompt": RED_HOUSE}, layout=quarters, set={("Img2ImgInversionSteps", "count"): 4}
    ),
    "Refine in passes": Card("an oil painting of a blue boat at sunset in summer", (BOAT,), focus=0.5),
    "Three passes with three prompts": Card(
        {
            "Pass 1": "an oil painting of a red car in summer",
            "Pass 2": "an oil painting of a red car in summer at sunset",
            "Pass 3": "an oil painting of a red car in summer at sunset",
        },
        (CAR,),
        seed=world.CAR_SEED,
        focus=0.52,
    ),
    "Two prompts in one run": Card(
        {
            "Prompt": "a flat picture of a yellow tree in winter",
            "Late prompt": "a watercolor of a yellow tree in winter",
        },
        (TREE,),
    ),
    "Shapes first, then details": Card(
        {
            "Prompt": "a flat picture of a green tree in summer",
            "Late prompt": "an oil painting of a green tree in summer",
        },
        (TREE,),
    ),
    "Repaint and keep the colors": Card("a watercolor of a blue house in summer by day", ({"color": "blue"},)),
    "Variations": Card("an oil painting of a yellow tree in autumn", (TREE,), layout=quarters),
    "One picture in four styles": Card(
        layout=quarters,
        set={
            ("Img2ImgStyleBatch", "styles"): "an oil painting\na watercolor\na pencil drawing\npixel art",
            ("Img2ImgStyleBatch", "template"): "{style} of a red house in summer by day",
        },
    ),
    "Several products in one style": Card(
        "a watercolor in winter by day", (CAR, BOAT), layout=rows, set={(ONE, "strength"): 0.55}
    ),
    "Strength against guidance": Card(
        "an oil painting of a red house at sunset", layout=sheet, set={(GRID, "column_values"): "1, 3, 6"}
    ),
    "Compare samplers": Card("a watercolor of a blue boat in winter", (BOAT,), layout=sheet),
    "A whole folder": Card("an oil painting at sunset", (HOUSE, TREE, BOAT), layout=rows),
}


def thumbnail(name: str, workflow: dict[str, Any], server: Server) -> Image.Image:
    """Run a workflow on the toy, as its Card says, and fill the card with what it starts from and what it makes."""
    card = CARDS[name]
    sources = [_source(card, shows) for shows in card.shows]
    prompt = _in_the_toys_world(on_demo_checkpoint(server.to_prompt(workflow)), card, _loaded(sources, server))
    prompt, ends = _with_ends(prompt, card)
    after: Pictures = []
    for number in range(len(sources)):
        for node in prompt.values():
            if node["class_type"] == "Img2ImgFolderImage":
                node["inputs"]["index"] = number
        run = server.run(prompt)
        after += [picture for end in ends for picture in server.images(run, end)]
    if card.layout is rows:
        after = [*(source.convert("RGB") for source in sources), *after]
    return card.layout(sources[0].convert("RGB"), after, card.focus)


def _source(card: Card, shows: dict[str, str]) -> Image.Image:
    """The scene, with the mask painted on it as the mask editor would: as transparency."""
    picture = world.scene(world.Attributes(**shows), card.seed, TOY_SIZE)
    if card.worn:
        noise = np.random.default_rng(0).normal(0, 14, (TOY_SIZE, TOY_SIZE, 3))
        worn = np.asarray(picture.filter(ImageFilter.GaussianBlur(1.6)), float) + noise
        picture = Image.fromarray(worn.clip(0, 255).astype(np.uint8))
    if card.mask:
        alpha = Image.new("L", picture.size, 255)
        ImageDraw.Draw(alpha).rectangle([share * TOY_SIZE for share in card.mask], fill=0)
        picture.putalpha(alpha)
    return picture


def _loaded(sources: Pictures, server: Server) -> str:
    """The first of them in the input folder, by its name; and all of them in a folder of their own there."""
    folder = server.folder / "input" / FOLDER
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for number, source in enumerate(sources):
        source.convert("RGB").save(folder / f"{number}.png")
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "card.png"
        sources[0].save(path)
        return server.upload(path)


def _in_the_toys_world(prompt: Prompt, card: Card, picture: str) -> Prompt:
    """The prompt on the card's picture, with words and numbers that suit the toy."""
    says = {"Prompt": card.says} if isinstance(card.says, str) else card.says
    common = {"Negative prompt": ""}
    for node in prompt.values():
        kind, given = node["class_type"], node["inputs"]
        if kind == "LoadImage":
            given["image"] = picture
        if kind == "Img2ImgFolderImage":
            given |= {"folder": FOLDER, "pattern": "*"}
        if kind == "CLIPTextEncode":
            given["text"] = (common | says).get(node["_meta"]["title"], given["text"])
        if isinstance(given.get("cfg"), float | int):
            given["cfg"] = min(given["cfg"], 1.0 if kind == "Img2ImgPromptEdit" else 4.0)
        if kind == "Img2ImgTiledRefine":
            given["strength"] = 0.02  # the toy knows whole scenes only, and would paint one into every tile
        if kind == "Img2ImgOutpaintCanvas":
            given |= {"right": TOY_SIZE // 2, "top": TOY_SIZE // 2}
        given |= {key: value for (of, key), value in card.set.items() if of == kind}
    return prompt


def _with_ends(prompt: Prompt, card: Card) -> tuple[Prompt, list[str]]:
    """The nodes whose pictures go on the card; with `columns` also the edit before it was cut back."""
    ends = savers(prompt) or [name for name, node in prompt.items() if node["class_type"] == "PreviewImage"]
    if card.layout is columns:
        edit = next(name for name, node in prompt.items() if node["class_type"] == ONE)
        prompt = prompt | {"edit": {"class_type": "PreviewImage", "inputs": {"images": [edit, 0]}}}
        ends = ["edit", *ends]
    return prompt, ends


def _filled(picture: Image.Image) -> Image.Image:
    """A picture that fills a square: the middle of a long one, the upper left of a sheet's."""
    side = min(picture.size)
    left = (picture.width - side) // 2
    return picture.crop((left, 0, left + side, side)).convert("RGB").resize((SIDE, SIDE), Image.Resampling.BICUBIC)


def _columns(pictures: Pictures, focus: float) -> Image.Image:
    """The same upright part of each picture, side by side."""
    width = (SIDE - LINE * (len(pictures) - 1)) // len(pictures)
    left = round(min(max(focus * SIDE - width / 2, 0), SIDE - width))
    card = Image.new("RGB", (SIDE, SIDE), "white")
    for number, picture in enumerate(pictures):
        card.paste(_filled(picture).crop((left, 0, left + width, SIDE)), (number * (width + LINE), 0))
    return card


def _table(pictures: Pictures, across: int) -> Image.Image:
    """Pictures in rows of so many, which fill the card."""
    down = -(-len(pictures) // across)
    width, height = ((SIDE - LINE * (count - 1)) // count for count in (across, down))
    card = Image.new("RGB", (SIDE, SIDE), "white")
    for number, picture in enumerate(pictures):
        part = _cover(picture, width, height)
        card.paste(part, (number % across * (width + LINE), number // across * (height + LINE)))
    return card


def _cover(picture: Image.Image, width: int, height: int) -> Image.Image:
    """A picture that covers a box, cut evenly."""
    scale = max(width / picture.width, height / picture.height)
    size = round(picture.width * scale), round(picture.height * scale)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    whole = picture.convert("RGB").resize(size, Image.Resampling.BICUBIC)
    return whole.crop((left, top, left + width, top + height))
