"""The demo world as measurements need it: held-out scenes, prompts in batches, and edits with their truth."""

from __future__ import annotations

import importlib
import json
import math
import statistics
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..core.metrics import mse, ssim
from ..core.sheet import from_pillow
from ..demo.scene import HELD_OUT_SEEDS, WORDS, Attributes, caption, edited, random_attributes, scene

BATCH, SEED = 25, 7
LEAST_KEPT = 0.02  # an edit that leaves less of the picture than this says nothing about what is kept
AS_GOOD_AS_EQUAL = 99.0  # dB, so that a mean stays finite

Scene = tuple[Attributes, int]
"""What to draw, and the seed of its layout."""


def held_out(count: int, first: int = 0) -> list[Scene]:
    """Scenes of the held-out part, from one of them on."""
    return [(random_attributes(seed), seed) for seed in HELD_OUT_SEEDS[first : first + count]]


def drawn(scenes: Sequence[Scene]) -> torch.Tensor:
    """Scenes as IMAGE [n, 128, 128, 3] in 0..1."""
    return torch.cat([from_pillow(scene(*one)) for one in scenes])


def prompts(clip: Any, scenes: Sequence[Scene]) -> Any:
    """The captions of scenes as one conditioning with an entry for each; of no scenes, the empty prompt."""
    encode = importlib.import_module("nodes").CLIPTextEncode().encode
    texts = [caption(*one) for one in scenes] or [""]
    return [[torch.cat([encode(clip, text)[0][0][0] for text in texts]), {}]]


def decibels(a: torch.Tensor, b: torch.Tensor) -> float:
    """PSNR of two pictures of one shape in 0..1, or of the same pixels of both."""
    return -10 * math.log10(max(mse(a, b), 10 ** (-AS_GOOD_AS_EQUAL / 10)))


def mean_gradient(pictures: torch.Tensor) -> float:
    """How strong edges are: the mean absolute difference of neighboring pixels of IMAGE [n, H, W, 3]."""
    return sum(float(pictures.diff(dim=axis).abs().mean()) for axis in (1, 2))


@dataclass(frozen=True)
class Edit:
    """A scene, and what it becomes when the attributes `names` change; both in the layout of `seed`."""

    seed: int
    names: tuple[str, ...]
    source: Attributes
    target: Attributes


LOCAL = ("color", "kind")
"""The attributes that stand in one place of a picture; the others are everywhere."""


def held_out_edits(count: int, first: int = 0, attributes: int = 1) -> list[Edit]:
    """Edits of one attribute each (or of more at once, or of none), the five attributes in turn, on held-out scenes."""
    every = list(WORDS)
    edits = []
    for index, (source, seed) in enumerate(held_out(count, first)):
        skip = 1 + index // len(every) % (len(every) - 1)  # so that every pair comes up
        names = tuple(every[(index + which * skip) % len(every)] for which in range(attributes))
        target = source
        for name in names:
            target = edited(target, name, seed)
        edits.append(Edit(seed, names, source, target))
    return edits


@dataclass(frozen=True)
class Score:
    """How well edits came out, on average.

    psnr, ssim:    against the true target
    local, global_: the same PSNR, of the edits in one place and of those everywhere; nan where there are none
    kept:          PSNR in dB where the true target is the source, over the edits that leave such a part
    success:       share of edits whose changed attributes all read as asked
    """

    psnr: float
    ssim: float
    local: float
    global_: float
    kept: float
    success: float


class Edits:
    """Edits with their pictures: where they start, and where they should arrive.

    only: of those so many, the edits that change nothing but these attributes
    """

    def __init__(self, count: int, first: int = 0, attributes: int = 1, only: Collection[str] = tuple(WORDS)) -> None:
        edits = held_out_edits(count, first, attributes)
        self.edits = [edit for edit in edits if set(edit.names) <= set(only)]
        self.sources: list[Scene] = [(edit.source, edit.seed) for edit in self.edits]
        self.targets: list[Scene] = [(edit.target, edit.seed) for edit in self.edits]
        self.before, self.truth = drawn(self.sources), drawn(self.targets)
        self.same = (self.before == self.truth).all(-1)

    def score(self, reader: Any, pictures: torch.Tensor) -> Score:
        """Judge what came out of the edits, IMAGE [n, H, W, 3]."""
        parts = zip(pictures, self.truth, self.same, strict=True)
        kept = [decibels(a[same], b[same]) for a, b, same in parts if same.double().mean() >= LEAST_KEPT]
        near = [decibels(a, b) for a, b in zip(pictures, self.truth, strict=True)]
        local = [set(edit.names) <= set(LOCAL) for edit in self.edits]
        right = reader.right(pictures, [edit.target for edit in self.edits])
        names = list(WORDS)
        arrived = [all(right[row, names.index(name)] for name in edit.names) for row, edit in enumerate(self.edits)]
        return Score(
            statistics.mean(near),
            ssim(pictures, self.truth),
            _mean([one for one, here in zip(near, local, strict=True) if here]),
            _mean([one for one, here in zip(near, local, strict=True) if not here]),
            _mean(kept),
            statistics.mean(map(float, arrived)),
        )


def _mean(values: Sequence[float]) -> float:
    return statistics.mean(values) if values else math.nan


class Toy:
    """The demo checkpoint in ComfyUI, one family of it, sampled in batches."""

    def __init__(self, nodes: dict[str, Any], family: str) -> None:
        importlib.import_module("comfy.utils").set_progress_bar_enabled(False)
        began = time.perf_counter()
        self.model, self.clip, self.vae, _ = nodes["Img2ImgDemoCheckpoint"].execute(family).args
        self.seconds = time.perf_counter() - began
        self.nodes, self.family = nodes, family
        self.empty = prompts(self.clip, [])

    def encoded(self, pictures: torch.Tensor) -> torch.Tensor:
        """IMAGE -> samples of a LATENT."""
        return torch.cat([self.vae.encode(part) for part in pictures.split(BATCH)])

    def painted(self, scenes: Sequence[Scene], cfg: float, steps: int) -> torch.Tensor:
        """Text to image with the stock sampler, IMAGE [n, 128, 128, 3]."""
        sample = importlib.import_module("nodes").common_ksampler
        pictures = []
        for start in range(0, len(scenes), BATCH):
            some = scenes[start : start + BATCH]
            (latent,) = sample(
                self.model, SEED + start, steps, cfg, "euler", "normal", prompts(self.clip, some), self.empty,
                {"samples": torch.zeros(len(some), 4, 16, 16)},
            )  # fmt: skip
            pictures.append(self.vae.decode(latent["samples"]))
        return torch.cat(pictures)

    def repainted(
        self, latents: torch.Tensor, targets: Sequence[Scene], cfg: float, steps: int, strength: float
    ) -> tuple[torch.Tensor, int]:
        """Image to image by noise and sampling, towards the captions of the targets; with the calls for a picture.

        steps: at strength 1, and in proportion below
        """
        schedule = self.nodes["StrengthScheduler"].execute(
            self.model, "normal", steps, strength, step_count="proportional"
        )
        pictures, calls = [], 0
        for start in range(0, len(targets), BATCH):
            some = slice(start, start + BATCH)
            latent, report = self.nodes["Img2ImgGuidedSampler"].execute(
                self.model, prompts(self.clip, targets[some]), self.empty, {"samples": latents[some]},
                schedule.args[0], cfg, "euler", SEED + start,
            ).args  # fmt: skip
            pictures.append(self.vae.decode(latent["samples"]))
            calls = json.loads(report)["model_calls"]
        return torch.cat(pictures), calls
