"""Reads the five attributes of the demo world off a picture, so that "does it show what was asked for?" has a number.

A small convolutional network, fitted in a few minutes on drawn scenes and on what the demo's autoencoder makes of
scenes, because every picture it will judge comes out of that autoencoder. It is kept in `.cache/` and fitted
anew when the scenes, the autoencoder or this file change. Run it to see how often it is right on held-out scenes.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from ..demo.scene import HELD_OUT_SEEDS, WORDS, Attributes, random_attributes
from ..dev import pack
from . import world

SIZE = 64  # pictures are halved first: quick, and a style can still be told at this size
DRAWN, DECODED = 3000, 400  # training scenes, and how many of them also come through the autoencoder
ROUNDS, BATCH, LEARNING_RATE = 12, 32, 4e-3
VALUES = {name: tuple(values) for name, values in WORDS.items()}


class Reader(nn.Module):
    """Pictures [n, 3, SIZE, SIZE] in 0..1 -> scores [n, number of all values], the attributes one after the other."""

    def __init__(self) -> None:
        super().__init__()
        widths = (48, 48, 64, 96)
        layers: list[nn.Module] = [nn.PixelUnshuffle(4)]
        for index, (before, after) in enumerate(pairwise(widths)):
            stride = 2 if index else 1
            layers += [nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        self.look = nn.Sequential(*layers)
        self.say = nn.Linear(2 * widths[-1], sum(map(len, VALUES.values())))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Scores of all values; the mean and the largest answer over the picture count."""
        seen = self.look(2 * pictures - 1)
        return self.say(torch.cat([seen.mean((2, 3)), seen.amax((2, 3))], 1))

    def answers(self, pictures: torch.Tensor) -> torch.Tensor:
        """IMAGE [n, H, W, 3] -> the index of the value it reads for each attribute, [n, 5]."""
        with torch.no_grad():
            scores = torch.cat([self(small(part)) for part in pictures.split(100)])
        return torch.stack([part.argmax(1) for part in scores.split(_counts(), 1)], 1)

    def right(self, pictures: torch.Tensor, asked: Sequence[Attributes]) -> torch.Tensor:
        """Whether each attribute of each picture reads as asked, bool [n, 5]."""
        return self.answers(pictures) == labels(asked)


def small(pictures: torch.Tensor) -> torch.Tensor:
    """IMAGE [n, H, W, 3] -> [n, 3, SIZE, SIZE]."""
    return nn.functional.interpolate(pictures.movedim(-1, 1), (SIZE, SIZE), mode="area")


def labels(asked: Sequence[Attributes]) -> torch.Tensor:
    """Attributes -> the index of each of their values, [n, 5]."""
    return torch.tensor([[VALUES[name].index(getattr(one, name)) for name in VALUES] for one in asked])


def _counts() -> list[int]:
    return [len(values) for values in VALUES.values()]


def load(vae: Any) -> Reader:
    """The fitted reader for this autoencoder, from `.cache/` or made now."""
    path = pack.ROOT / ".cache" / f"reader_{_version()}.pt"
    reader = Reader()
    if not path.exists():
        reader.load_state_dict(fit(vae).state_dict())
        torch.save(reader.state_dict(), path)
    reader.load_state_dict(torch.load(path))
    return reader.eval().requires_grad_(False)


def _version() -> str:
    """A short digest of everything the reader depends on."""
    found = hashlib.sha256()
    for name in ("demo/scene.py", "demo/vae.safetensors", "benchmarks/reader.py"):
        found.update((pack.ROOT / name).read_bytes())
    return found.hexdigest()[:12]


def round_trip(vae: Any, pictures: torch.Tensor) -> torch.Tensor:
    """What an autoencoder makes of pictures, IMAGE [n, H, W, 3]."""
    with torch.inference_mode():
        return torch.cat([vae.decode(vae.encode(part)) for part in pictures.split(world.BATCH)]).clamp(0, 1).clone()


def fit(vae: Any) -> Reader:
    """A reader fitted on training scenes; seeded."""
    scenes = [(random_attributes(seed), seed) for seed in range(DRAWN)]
    pictures = world.drawn(scenes)
    asked = labels([attributes for attributes, _ in scenes])
    pictures = small(torch.cat([pictures, round_trip(vae, pictures[:DECODED])]))
    asked = torch.cat([asked, asked[:DECODED]])
    with torch.inference_mode(False), torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _descend(Reader(), pictures, asked)


def _descend(reader: Reader, pictures: torch.Tensor, asked: torch.Tensor) -> Reader:
    draw = np.random.default_rng(0)
    steps = ROUNDS * (len(pictures) // BATCH)
    optimizer = torch.optim.AdamW(reader.parameters(), LEARNING_RATE, weight_decay=0.02)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, steps)
    # Round trips are few, so each is shown more often: a third of every batch.
    chances = np.where(np.arange(len(pictures)) < DRAWN, 2 / DRAWN, 1 / DECODED) / 3
    for _ in range(steps):
        which = draw.choice(len(pictures), BATCH, p=chances)
        scores = reader(_roughened(pictures[which].clone(), draw)).split(_counts(), 1)
        loss = sum(nn.functional.cross_entropy(part, asked[which, index]) for index, part in enumerate(scores))
        optimizer.zero_grad()
        torch.as_tensor(loss).backward()
        optimizer.step()
        rate.step()
    return reader


def _roughened(pictures: torch.Tensor, draw: np.random.Generator) -> torch.Tensor:
    """Half of the pictures mirrored, and each a little blurred, noisy and tinted, as a generator's pictures are."""
    if draw.random() < 0.5:
        pictures = pictures.flip(3)
    count = len(pictures)

    def each(low: float, high: float, channels: int = 1) -> torch.Tensor:
        return torch.from_numpy(draw.uniform(low, high, (count, channels, 1, 1))).float()

    blurred = nn.functional.avg_pool2d(pictures, 3, 1, 1, count_include_pad=False)
    pictures = torch.lerp(pictures, blurred, each(0, 0.8).square())
    pictures = pictures * each(0.94, 1.06, 3) + each(-0.02, 0.02)
    noise = torch.from_numpy(draw.standard_normal(pictures.shape, dtype=np.float32))
    return (pictures + noise * each(0, 0.2).square()).clamp(0, 1)


def accuracy(reader: Reader, pictures: torch.Tensor, asked: Sequence[Attributes]) -> dict[str, float]:
    """Share of right answers for each attribute, and their mean."""
    shares = reader.right(pictures, asked).double().mean(0)
    return dict(zip(VALUES, shares.tolist(), strict=True)) | {"mean": float(shares.mean())}


def main() -> None:
    """Print how often the reader is right on held-out scenes, as drawn and through the autoencoder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=400)
    count = parser.parse_args().scenes
    vae = pack.load()["Img2ImgDemoCheckpoint"].execute("eps").args[2]
    reader = load(vae)
    scenes = [(random_attributes(seed), seed) for seed in HELD_OUT_SEEDS[:count]]
    pictures, asked = world.drawn(scenes), [attributes for attributes, _ in scenes]
    for name, shown in (("as drawn", pictures), ("through the autoencoder", round_trip(vae, pictures))):
        print(name, {key: f"{share:.1%}" for key, share in accuracy(reader, shown, asked).items()})
