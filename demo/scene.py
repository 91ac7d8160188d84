"""A small painted world whose every picture is described by five attributes.

`scene(attributes, seed)` draws it and `caption(attributes, seed)` says it in words. The seed alone decides the
layout (where the hills, the object, the clouds are), so the same seed under other attributes is the true target
of an edit: "the same place at night", "the same place as a watercolor". Only Pillow and NumPy are needed.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

# The words of the world: for each value those that mean it, in more than one spelling where people write so.
WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "time": {
        "day": ("day", "daylight", "daytime", "noon"),
        "sunset": ("sunset", "dusk", "evening"),
        "night": ("night", "midnight", "moonlight"),
    },
    "season": {"summer": ("summer", "summertime"), "autumn": ("autumn", "fall"), "winter": ("winter", "snow", "snowy")},
    "color": {
        "red": ("red", "crimson", "scarlet"),
        "yellow": ("yellow", "lemon"),
        "green": ("green", "emerald"),
        "blue": ("blue", "azure"),
        "purple": ("purple", "violet"),
        "white": ("white", "ivory"),
    },
    "kind": {
        "house": ("house", "cottage", "home"),
        "tree": ("tree", "oak"),
        "boat": ("boat", "sailboat", "ship"),
        "car": ("car", "automobile"),
    },
    "style": {
        "flat": ("flat", "vector"),
        "oil": ("oil", "impasto"),
        "watercolor": (
            "watercolour",
            "watercolor",
            "aquarelle",
        ),  # the order of the word vectors
        "pencil": ("pencil", "sketch"),
        "pixel": ("pixel", "pixelated"),
    },
}

# Scenes with these seeds are never trained on: examples, tests and measurements take theirs from here.
HELD_OUT_SEEDS = range(1_000_000, 1_100_000)

# The drawing that ships as an example input: the default attributes in this layout.
EXAMPLE_SEED = 1_020_001
# The layout of the other one: a car in the middle of the picture.
CAR_SEED = 1_020_016

Color = tuple[float, ...]
Fill = tuple[int, int, int]
Points = tuple[tuple[float, float], ...]

SKY: dict[str, tuple[Color, Color]] = {
    "day": ((84, 152, 230), (196, 228, 250)),
    "sunset": ((96, 72, 140), (255, 158, 88)),
    "night": ((12, 16, 48), (44, 54, 112)),
}
GROUND: dict[str, Color] = {"summer": (104, 172, 76), "autumn": (196, 138, 62), "winter": (236, 240, 248)}
FOLIAGE: dict[str, Color] = {"summer": (46, 116, 60), "autumn": (202, 92, 36), "winter": (206, 220, 232)}
OBJECT: dict[str, Color] = {
    "red": (214, 44, 44),
    "yellow": (246, 212, 48),
    "green": (40, 150, 72),
    "blue": (44, 92, 220),
    "purple": (142, 62, 190),
    "white": (246, 246, 246),
}
LIGHT: dict[str, Color] = {"day": (1.0, 1.0, 1.0), "sunset": (1.0, 0.80, 0.70), "night": (0.40, 0.44, 0.66)}
# The object keeps more of its own color than the land, so that "red" can still be read at night.
OBJECT_LIGHT: dict[str, Color] = {"day": (1.0, 1.0, 1.0), "sunset": (1.0, 0.90, 0.84), "night": (0.70, 0.72, 0.84)}
WOOD: Color = (98, 68, 46)
PAPER: Color = (250, 247, 238)


@dataclass(frozen=True)
class Attributes:
    """What a scene shows; every field takes one of the values listed under its name in `WORDS`."""

    time: str = "day"
    season: str = "summer"
    color: str = "red"
    kind: str = "house"
    style: str = "flat"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value not in WORDS[field.name]:
                raise ValueError(f"{field.name} is {value!r}; it must be one of {', '.join(WORDS[field.name])}")


def random_attributes(seed: int) -> Attributes:
    """Attributes drawn evenly and independently; the same seed gives the same attributes."""
    generator = np.random.default_rng((seed, 1))
    return Attributes(**{name: str(generator.choice(list(values))) for name, values in WORDS.items()})


def edited(attributes: Attributes, name: str, seed: int) -> Attributes:
    """The same attributes with another, random value for the one called `name`."""
    others = [value for value in WORDS[name] if value != getattr(attributes, name)]
    return replace(attributes, **{name: str(np.random.default_rng((seed, 2)).choice(others))})


def scene(attributes: Attributes, seed: int, size: int | tuple[int, int] = 128) -> Image.Image:
    """Draw a scene.

    `size` is the side of a square picture or (width, height), in pixels. Returns an RGB picture of that size.
    """
    width, height = (size, size) if isinstance(size, int) else size
    layout = Layout(seed)
    canvas = Canvas(width, height, attributes, layout)
    canvas.paint()
    picture = np.asarray(canvas.finished(), dtype=np.float32)
    styled = STYLES[attributes.style](picture, layout.texture)
    return Image.fromarray(np.clip(styled + 0.5, 0, 255).astype(np.uint8))


class Layout:
    """Where everything stands, in shares of the picture's width and height. Depends on the seed alone."""

    def __init__(self, seed: int) -> None:
        draw = np.random.default_rng((seed, 0))
        self.horizon = draw.uniform(0.50, 0.60)
        self.far_hill = draw.uniform(0, 2 * np.pi), draw.uniform(0.7, 1.5), draw.uniform(0.03, 0.07)
        self.near_hill = draw.uniform(0, 2 * np.pi), draw.uniform(0.5, 1.1), draw.uniform(0.02, 0.05)
        self.object_x = draw.uniform(0.32, 0.68)
        self.object_y = draw.uniform(0.78, 0.86)
        self.object_size = draw.uniform(0.40, 0.50)
        self.faces_left = bool(draw.integers(2))
        self.light_x = draw.uniform(0.12, 0.88)
        self.light_y = draw.uniform(0.12, 0.24)
        self.clouds = draw.uniform((0.05, 0.08, 0.10), (0.95, 0.34, 0.16), (2, 3))
        self.trees = draw.uniform((0.03, 0.0, 0.09), (0.97, 0.03, 0.14), (3, 3))
        self.stars = draw.uniform((0.02, 0.03), (0.98, 0.45), (14, 2))
        self.flakes = draw.uniform((0.02, 0.05), (0.98, 0.95), (16, 2))
        self.texture = draw.standard_normal((2, 16, 16)).astype(np.float32)

    def ground(self, x: np.ndarray, which: str) -> np.ndarray:
        """Height of the `far` or `near` hill line at the shares `x` of the width, as a share of the height."""
        phase, waves, swing = self.far_hill if which == "far" else self.near_hill
        base = self.horizon if which == "far" else self.horizon + 0.09
        return base - swing * np.sin(phase + 2 * np.pi * waves * x)


class Canvas:
    """Paints the unstyled scene at twice the asked size; `finished` halves it, which smooths every edge."""

    SCALE = 2

    def __init__(self, width: int, height: int, attributes: Attributes, layout: Layout) -> None:
        self.width, self.height = width * self.SCALE, height * self.SCALE
        self.unit = min(self.width, self.height)
        self.attributes = attributes
        self.layout = layout
        self.image = Image.fromarray(self._sky())
        self.draw = ImageDraw.Draw(self.image)

    def paint(self) -> None:
        """Paint back to front: lights, clouds, land, object, snow."""
        self._lights()
        self._clouds()
        self._land()
        getattr(self, f"_{self.attributes.kind}")()
        if self.attributes.season == "winter":
            for x, y in self.layout.flakes:
                self._circle(x * self.width, y * self.height, 0.010 * self.unit, (250, 250, 255))

    def finished(self) -> Image.Image:
        """The picture at the asked size."""
        return self.image.reduce(self.SCALE)

    def _lit(self, color: Color, light: dict[str, Color] = LIGHT) -> Fill:
        red, green, blue = (round(c * f) for c, f in zip(color, light[self.attributes.time], strict=True))
        return red, green, blue

    def _circle(self, x: float, y: float, radius: float, fill: Fill) -> None:
        self.draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)

    def _sky(self) -> np.ndarray:
        top, bottom = (np.array(c) for c in SKY[self.attributes.time])
        down = np.clip(np.linspace(0, 1.7, self.height), 0, 1)[:, None, None]
        return np.broadcast_to(top + (bottom - top) * down, (self.height, self.width, 3)).astype(np.uint8)

    def _lights(self) -> None:
        x, y, unit = self.layout.light_x * self.width, self.layout.light_y * self.height, self.unit
        if self.attributes.time == "day":
            self._circle(x, y, 0.075 * unit, (255, 238, 130))
        elif self.attributes.time == "sunset":
            self._circle(x, (self.layout.horizon - 0.08) * self.height, 0.115 * unit, (255, 222, 120))
        else:
            for star_x, star_y in self.layout.stars:
                self._circle(star_x * self.width, star_y * self.height, 0.008 * unit, (240, 240, 220))
            self._circle(x, y, 0.075 * unit, (244, 242, 214))
            self._circle(x + 0.04 * unit, y - 0.015 * unit, 0.062 * unit, (20, 25, 62))

    def _clouds(self) -> None:
        fill = {"day": (250, 252, 255), "sunset": (252, 176, 150), "night": (50, 60, 104)}[self.attributes.time]
        for x, y, length in self.layout.clouds * (self.width, self.height, self.unit):
            for shift, size in ((-0.5, 0.30), (0.0, 0.42), (0.5, 0.28)):
                self._circle(x + shift * length, y - size * 0.3 * length, size * length, fill)

    def _land(self) -> None:
        color = np.array(GROUND[self.attributes.season])
        across = np.linspace(0, 1, 25)
        for which, tone in (("far", 0.80), ("near", 1.0)):
            line = np.stack([across * self.width, self.layout.ground(across, which) * self.height], axis=1)
            corners = [(self.width, self.height), (0, self.height)]
            fill = self._lit(tuple(color * tone + np.array((120, 150, 200)) * (1 - tone)))
            self.draw.polygon([tuple(point) for point in line.tolist()] + corners, fill=fill)
            if which == "far":
                self._far_trees()

    def _far_trees(self) -> None:
        foliage = self._lit(FOLIAGE[self.attributes.season])
        for x, lift, size in self.layout.trees:
            foot = (self.layout.ground(np.array([x]), "far")[0] + 0.02 + lift) * self.height
            left, width, height = x * self.width, size * 0.42 * self.unit, size * 1.5 * self.unit
            self.draw.polygon([(left - width, foot), (left + width, foot), (left, foot - height)], fill=foliage)

    def _own(self, tone: float = 1.0) -> Fill:
        """The object's color in this light; `tone` below 1 is in shade."""
        return self._lit(tuple(c * tone for c in OBJECT[self.attributes.color]), OBJECT_LIGHT)

    def _window_glass(self) -> Fill:
        return (255, 226, 120) if self.attributes.time == "night" else self._lit((196, 224, 240))

    def _placed(self, points: Points) -> list[tuple[float, float]]:
        """Points of the object -> pixels. In its own frame the foot is (0, 0), +y is up and its height about 1."""
        layout = self.layout
        size, side = layout.object_size * self.unit, -1 if layout.faces_left else 1
        foot_x, foot_y = layout.object_x * self.width, layout.object_y * self.height
        return [(foot_x + side * x * size, foot_y - y * size) for x, y in points]

    def _polygon(self, points: Points, fill: Fill) -> None:
        self.draw.polygon(self._placed(points), fill=fill)

    def _box(self, left: float, bottom: float, right: float, top: float, fill: Fill, rounding: float = 0.0) -> None:
        (x0, y0), (x1, y1) = self._placed(((left, top), (right, bottom)))
        radius = rounding * self.layout.object_size * self.unit
        self.draw.rounded_rectangle((min(x0, x1), y0, max(x0, x1), y1), radius, fill)

    def _disc(self, x: float, y: float, radius: float, fill: Fill) -> None:
        ((at_x, at_y),) = self._placed(((x, y),))
        self._circle(at_x, at_y, radius * self.layout.object_size * self.unit, fill)

    def _house(self) -> None:
        self._box(-0.45, 0, 0.45, 0.52, self._own())
        roof = (240, 244, 250) if self.attributes.season == "winter" else (92, 66, 60)
        self._polygon(((-0.55, 0.52), (0.55, 0.52), (0, 1)), self._lit(roof))
        self._box(0.12, 0, 0.32, 0.34, self._lit((84, 54, 40)))
        self._box(-0.33, 0.16, -0.07, 0.40, self._window_glass())

    def _tree(self) -> None:
        self._polygon(((-0.10, 0), (0.10, 0), (0.05, 0.6), (-0.05, 0.6)), self._lit(WOOD))
        self._disc(0.00, 0.62, 0.36, self._own(0.88))
        self._disc(-0.26, 0.60, 0.28, self._own())
        self._disc(0.26, 0.60, 0.28, self._own(0.88))
        self._disc(-0.02, 0.88, 0.32, self._own())

    def _boat(self) -> None:
        water = (188, 214, 232) if self.attributes.season == "winter" else (66, 132, 188)
        shore = (self.layout.object_y - 0.16) * self.height
        self.draw.rectangle((0, shore, self.width, self.height), fill=self._lit(water))
        self._polygon(((-0.50, 0.24), (0.50, 0.24), (0.34, 0), (-0.34, 0)), self._own())
        self._box(-0.08, 0.24, -0.04, 1.0, self._lit(WOOD))
        self._polygon(((-0.01, 0.98), (-0.01, 0.30), (0.42, 0.30)), self._own(0.88))

    def _car(self) -> None:
        (_, far), (_, near) = self._placed(((0, 0.13), (0, -0.10)))
        self.draw.rectangle((0, far, self.width, near), fill=self._lit((112, 112, 120)))
        self._polygon(((-0.34, 0.36), (-0.22, 0.62), (0.12, 0.62), (0.30, 0.36)), self._own(0.9))
        self._polygon(((-0.27, 0.36), (-0.17, 0.57), (0.07, 0.57), (0.23, 0.36)), self._window_glass())
        self._box(-0.52, 0.10, 0.52, 0.38, self._own(), rounding=0.09)
        for wheel in (-0.29, 0.29):
            self._disc(wheel, 0.10, 0.13, self._lit((44, 44, 50)))
            self._disc(wheel, 0.10, 0.055, self._lit((170, 170, 176)))


def _texture(noise: np.ndarray, height: int, width: int) -> np.ndarray:
    """Stretch a small noise field [16, 16] smoothly over the picture: [height, width, 1]."""
    return np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))[..., None]


def _filtered(picture: np.ndarray, kind: ImageFilter.Filter) -> np.ndarray:
    image = Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))
    return np.asarray(image.filter(kind), dtype=np.float32)


def _flat(picture: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return picture


def _oil(picture: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Rounded shapes, deep colors, and ridges of thick paint, under a warm varnish."""
    rounded = _filtered(picture, ImageFilter.MedianFilter(5))
    gray = rounded.mean(axis=2, keepdims=True)
    ridges = 1.0 + 0.07 * np.clip(_texture(noise[0], *picture.shape[:2]), -1.5, 1.5)
    return (gray + 1.3 * (rounded - gray)) * ridges * np.array((0.98, 0.93, 0.82), dtype=np.float32)


def _watercolor(picture: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Thin soft washes that pool and fade, ending in a wavering edge of bare paper."""
    height, width = picture.shape[:2]
    down, across = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    pools = _texture(noise[0], height, width)
    edge = np.maximum(np.abs(down), np.abs(across))[..., None] + 0.03 * _texture(noise[1], height, width)
    strength = np.clip((0.90 - edge) * 12, 0, 1) * np.clip(0.70 + 0.09 * pools, 0.45, 0.90)
    paper = np.array(PAPER, dtype=np.float32)
    return paper + (_filtered(picture, ImageFilter.GaussianBlur(1.0)) - paper) * strength


def _pencil(picture: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Dark outlines and diagonal hatching on paper, with a tint of colored pencil."""
    gray = picture.mean(axis=2, keepdims=True)
    soft = _filtered(picture, ImageFilter.GaussianBlur(0.7))
    slope = np.sqrt(sum(np.gradient(soft[..., c], axis=a) ** 2 for c in range(3) for a in (0, 1)))[..., None]
    line = np.clip(slope / 30 - 0.2, 0, 1)
    down, across = np.indices(picture.shape[:2])
    # Faint, and of four pixels' period, which repeats in every 8x8 block: the small autoencoder can keep that.
    hatch = ((down + across) % 4 < 1)[..., None] * np.clip(1 - gray / 255, 0, 1)
    shade = np.array(PAPER, dtype=np.float32) * (0.45 + 0.55 * gray / 255) + 0.45 * (picture - gray)
    return shade * (1 - 0.15 * hatch) * (1 - 0.70 * line)


def _pixel(picture: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Square blocks, 32 along the short side, in few tones."""
    height, width = picture.shape[:2]
    block = max(2, min(height, width) // 32)
    image = Image.fromarray(picture.astype(np.uint8))
    small = image.resize((-(-width // block), -(-height // block)), Image.Resampling.BOX)
    tones = np.round(np.asarray(small, dtype=np.float32) / 32) * 32
    return tones.repeat(block, axis=0).repeat(block, axis=1)[:height, :width]


STYLES = {"flat": _flat, "oil": _oil, "watercolor": _watercolor, "pencil": _pencil, "pixel": _pixel}


def caption(attributes: Attributes, seed: int, leave_out: float = 0.0) -> str:
    """Say the scene in words: word order, synonyms and fillers vary with the seed.

    Each attribute but the kind is left unsaid with probability `leave_out`.
    """
    draw = np.random.default_rng((seed, 3))

    def word(name: str) -> str:
        if name != "kind" and draw.random() < leave_out:
            return ""
        return str(draw.choice(WORDS[name][getattr(attributes, name)]))

    def phrase(template: str, value: str) -> str:
        return template.format(value) if value else ""

    thing = _with_article(" ".join(filter(None, (word("color"), word("kind")))), str(draw.choice(("a", "the", "one"))))
    where = [phrase(TIME_PHRASES.get(value := word("time"), "at {}"), value)]
    where.append(phrase(SEASON_PHRASES.get(value := word("season"), "in {}"), value))
    if draw.integers(2):
        where.reverse()
    body = " ".join([thing, *filter(None, where)])
    style = word("style")
    if not style:
        return body
    manner = str(draw.choice(STYLE_PHRASES[style if style in STYLE_PHRASES else attributes.style]))
    return f"{manner} of {body}" if draw.integers(2) else f"{body}, {manner}"


def _with_article(noun: str, article: str) -> str:
    return f"{'an' if article == 'a' and noun[0] in 'aeiou' else article} {noun}"


TIME_PHRASES = {"day": "by {}", "daylight": "in {}", "daytime": "in the {}", "evening": "in the {}",
                "moonlight": "in the {}"}  # fmt: skip
SEASON_PHRASES = {"snow": "in the {}", "fall": "in the {}", "snowy": "in a {} landscape"}
STYLE_PHRASES = {
    "flat": ("a flat drawing", "a flat illustration"),
    "vector": ("vector art", "a vector drawing"),
    "oil": ("an oil painting", "a painting in oil"),
    "impasto": ("an impasto painting",),
    "watercolour": ("a watercolour", "a watercolour painting"),
    "watercolor": ("a watercolor", "a watercolor painting"),
    "aquarelle": ("an aquarelle",),
    "pencil": ("a pencil drawing", "a pencil sketch"),
    "sketch": ("a sketch", "a pencil sketch"),
    "pixel": ("pixel art", "a pixel art picture"),
    "pixelated": ("a pixelated picture",),
}
