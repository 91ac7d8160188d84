"""A picture that looks like a photograph, worked out by following light: what the demo world knows nothing of.

    python demo/photograph.py      writes demo/photograph.jpg

Three balls on a wooden table by a window, with soft shadows, a shallow depth of field and the grain of a sensor. Only
NumPy and Pillow are needed. Vectors are [..., 3]: x right, y up, z away from the camera; lengths in decimetres.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.float64]

SIZE = (384, 256)
RAYS = 48  # of every pixel, each through another point of the lens and towards another point of the window
CAMERA, LENS, IN_FOCUS = np.array((0.0, 1.15, -4.6)), 0.10, 4.7
WINDOW, WINDOW_SIZE = np.array((-4.5, 5.0, -1.5)), 1.3
WINDOW_LIGHT, ROOM_LIGHT = np.array((2.5, 2.3, 2.0)), np.array((0.22, 0.25, 0.31))

# center, radius, color, how much it mirrors, roughness of the skin
BALLS = (
    ((-0.55, 0.62, 0.0), 0.62, (0.92, 0.36, 0.06), 0.05, 0.10),
    ((0.85, 0.50, 0.9), 0.50, (0.80, 0.79, 0.74), 0.16, 0.0),
    ((0.42, 0.30, -0.75), 0.30, (0.16, 0.30, 0.12), 0.09, 0.03),
)
DISTANT_LIGHTS = ((-2.6, 2.3, 9.0), (-0.4, 2.9, 11.0), (1.7, 2.2, 10.0), (3.1, 3.0, 9.5))


def photograph(seed: int = 0) -> Image.Image:
    """The picture, RGB, of SIZE."""
    draw = np.random.default_rng(seed)
    light = np.mean([_exposure(draw) for _ in range(RAYS)], axis=0)
    across, down = np.meshgrid(np.linspace(-1, 1, SIZE[0]), np.linspace(-1, 1, SIZE[1]))
    light = light * (1 - 0.22 * (across**2 + down**2))[..., None]
    film = (light / (light + 1.1) * 1.45) ** (1 / 1.15)
    film += draw.normal(size=film.shape) * 0.010 + draw.normal(size=(*film.shape[:2], 1)) * 0.008
    return Image.fromarray((film.clip(0, 1) * 255).astype(np.uint8))


def _exposure(draw: np.random.Generator) -> Array:
    """Light on the sensor from one ray of each pixel, [height, width, 3]."""
    width, height = SIZE
    shape = (height, width)
    x = (np.arange(width) + draw.random(shape) - width / 2) / height
    y = (height / 2 - np.arange(height)[:, None] - draw.random(shape)) / height
    turn, out = draw.uniform(0, 2 * np.pi, shape), LENS * np.sqrt(draw.random(shape))
    lens = np.stack([out * np.cos(turn), out * np.sin(turn), np.zeros(shape)], -1)
    aim = np.stack([x, y - 0.16, np.full(shape, 1.35)], -1)
    start = CAMERA + lens
    return _seen(start, _unit(CAMERA + aim * (IN_FOCUS / 1.35) - start), draw, bounces=1)


def _seen(start: Array, along: Array, draw: np.random.Generator, bounces: int) -> Array:
    """What rays see: room, table or ball."""
    color = _room(along)
    nearest = np.full(along.shape[:-1], np.inf)
    with np.errstate(divide="ignore", invalid="ignore"):
        table = np.where(along[..., 1] < 0, -start[..., 1] / along[..., 1], np.inf)
    surfaces = [(table, None), *((_distance(start, along, *ball[:2]), ball) for ball in BALLS)]
    for distance, ball in surfaces:
        hit = (distance < nearest) & (distance < 14)
        if not hit.any():
            continue
        nearest = np.where(hit, distance, nearest)
        point = (start + along * np.where(hit, distance, 0)[..., None])[hit]
        color[hit] = _lit(point, along[hit], ball, draw, bounces)
    return color


def _lit(point: Array, along: Array, ball: tuple | None, draw: np.random.Generator, bounces: int) -> Array:
    """Light that points of one surface send back along rays."""
    if ball is None:
        upright, color, mirror = np.broadcast_to((0.0, 1.0, 0.0), point.shape), _wood(point), 0.06
    else:
        center, radius, own, mirror, rough = ball
        upright = _unit((point - center) / radius + rough * _bumps(point * 22))
        color = np.array(own) * (1 + 0.10 * _bumps(point * 3)[..., :1])
    window = WINDOW + WINDOW_SIZE * draw.uniform(-1, 1, point.shape) * (0, 1, 1)
    towards = _unit(window - point)
    facing = np.clip((upright * towards).sum(-1), 0, None) * ~_shaded(point + 1e-3 * upright, towards)
    open_sky = (0.5 + 0.5 * upright[..., 1]) * _openness(point, ball)
    out = color * (WINDOW_LIGHT * facing[..., None] + ROOM_LIGHT * 2.2 * open_sky[..., None])
    if bounces:
        mirrored = along - 2 * (along * upright).sum(-1, keepdims=True) * upright
        grazing = (1 - np.clip(-(along * upright).sum(-1, keepdims=True), 0, 1)) ** 4
        gloss = _unit(mirrored + 0.05 * draw.normal(size=point.shape))
        out = out + (mirror + 0.35 * grazing * (mirror > 0.05)) * _seen(point + 1e-3 * upright, gloss, draw, 0)
    return out


def _room(along: Array) -> Array:
    """The far wall, the window where a mirror looks for it, and lamps far away."""
    height = along[..., 1:2]
    wall = np.array((0.26, 0.17, 0.12)) * (0.5 + 0.9 * np.clip(height + 0.3, 0, 1))
    bright = np.clip((along @ _unit(WINDOW)) * 14 - 12.6, 0, 1)[..., None]
    towards = _unit(np.array(DISTANT_LIGHTS) - CAMERA)
    lamps = np.exp((along @ towards.T - 1) * 9000).sum(-1)
    return wall + 9 * bright * WINDOW_LIGHT / 2 + 16 * lamps[..., None] * np.array((1.0, 0.78, 0.45))


def _distance(start: Array, along: Array, center: tuple, radius: float) -> Array:
    """How far along a ray a ball is met, inf where it is not."""
    away = start - np.array(center)
    half = (away * along).sum(-1)
    inside = half**2 - (away**2).sum(-1) + radius**2
    met = -half - np.sqrt(np.clip(inside, 0, None))
    return np.where((inside > 0) & (met > 1e-4), met, np.inf)


def _shaded(point: Array, towards: Array) -> NDArray[np.bool_]:
    """Whether a ball stands between points and the light."""
    return np.any([np.isfinite(_distance(point, towards, *ball[:2])) for ball in BALLS], axis=0)


def _openness(point: Array, own: tuple | None) -> Array:
    """How little the balls and the table close in on points, 0..1."""
    free = np.ones(point.shape[:-1]) if own is None else np.clip(0.35 + point[..., 1] / (2 * own[1]), 0, 1)
    for center, radius, *_ in (ball for ball in BALLS if ball is not own):
        free *= 1 - 0.75 * np.clip(radius**2 / ((point - center) ** 2).sum(-1), 0, 1)
    return free


def _wood(point: Array) -> Array:
    """The table: boards of long grain."""
    board = np.floor(point[..., 0] / 0.9)
    along = point * np.array((1, 0, 0.12)) + np.stack([board * 3.1, board, board * 1.7], -1)
    ring = np.sin(26 * along[..., 0] + 5 * _bumps(along * 2.2)[..., 0] + 2 * _bumps(along * 9)[..., 1])
    seam = np.abs(point[..., 0] / 0.9 - board - 0.5) > 0.487
    tone = (0.62 + 0.12 * ring + 0.12 * np.sin(board * 2.3)) * np.where(seam, 0.35, 1.0)
    return tone[..., None] * np.array((0.72, 0.47, 0.29))


def _bumps(point: Array) -> Array:
    """A smooth uneven field, three independent values about -1..1 at every point."""
    turned = np.stack([np.roll(point, shift, -1) for shift in range(3)])
    waves = np.sin(1.7 * turned + 2.1 * np.sin(1.3 * np.roll(turned, 1, -1) + 0.7))
    return waves.prod(-1).transpose(*range(1, point.ndim), 0)


def _unit(vector: Array) -> Array:
    return vector / np.linalg.norm(vector, axis=-1, keepdims=True)


if __name__ == "__main__":
    photograph().save(Path(__file__).with_suffix(".jpg"), quality=88)
