"""Does inpainting leave every pixel outside its mask alone, and does the inside show what was asked for?

Fifty held-out scenes of the demo world. Each keeps its layout, and its object gets another color: a box
around the object is painted anew under the caption that names the other color, through the whole chain of the example
workflow: VAE Encode, Noise Latent, Guided Sampler, VAE Decode, Keep Unmasked. The reader of benchmarks/reader.py says
which color it sees in the result, and, as the ceiling, in the scene drawn in the other color.

Then the same scenes with a disc painted anew under their own caption, so that the true answer is known: how near it
comes, over the rounds of ``think``.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
from dataclasses import dataclass
from typing import Any

import torch

from ..core.metrics import as_8bit, changed_pixels
from ..demo.scene import WORDS, edited
from ..dev import pack
from . import reader, results, world

SCENES, STEPS, CFG, STRENGTH = 50, 12, 5.0, 0.9
FIRST_DISC, DISC_CFG, ROUNDS, BORDER = 300, 3.0, (0, 1, 2), 4  # BORDER in pixels
MARGIN, CELL = 2, 8  # pixels left around what differs, and the pixels of a latent cell, which a hard mask should follow
COLOR = list(WORDS).index("color")


@dataclass(frozen=True)
class Recoloring:
    """Scenes as they are and as they should become, IMAGE [n, 128, 128, 3], and the boxes to paint, MASK."""

    targets: list[world.Scene]
    before: torch.Tensor
    truth: torch.Tensor
    mask: torch.Tensor


def recoloring(count: int) -> Recoloring:
    """Every scene's object in another color."""
    sources = world.held_out(count)
    targets = [(edited(attributes, "color", seed), seed) for attributes, seed in sources]
    before, truth = world.drawn(sources), world.drawn(targets)
    differs = (before - truth).abs().amax(-1) > 0.1
    return Recoloring(targets, before, truth, torch.stack([_box(one) for one in differs]))


def _box(differs: torch.Tensor) -> torch.Tensor:
    """The box around what differs, with a margin, in whole cells of the latent; [H, W]."""
    mask = torch.zeros(differs.shape)
    rows, columns = (differs.any(axis).nonzero().flatten().tolist() for axis in (1, 0))
    (top, left), (bottom, right) = (
        (max(0, side[0] - MARGIN) // CELL * CELL for side in (rows, columns)),
        (-(-(side[-1] + 1 + MARGIN) // CELL) * CELL for side in (rows, columns)),
    )
    mask[top:bottom, left:right] = 1
    return mask


def inpainted(nodes: dict[str, Any], toy: world.Toy, asked: Recoloring) -> tuple[torch.Tensor, torch.Tensor]:
    """The pictures after the sampler and VAE Decode, and those after Keep Unmasked."""
    stock = importlib.import_module("nodes")
    sigmas = nodes["StrengthScheduler"].execute(toy.model, "normal", STEPS, STRENGTH).args[0]
    edited_pictures, kept = [], []
    for start in range(0, len(asked.targets), world.BATCH):
        some = slice(start, start + world.BATCH)
        original, mask = asked.before[some], asked.mask[some]
        latent = stock.VAEEncode().encode(toy.vae, original)[0]
        noised = nodes["SDEditNoise"].execute(toy.model, latent, sigmas, world.SEED + start, mask).args[0]
        painted = nodes["Img2ImgGuidedSampler"].execute(
            toy.model, world.prompts(toy.clip, asked.targets[some]), toy.empty, noised, sigmas, CFG, "euler",
            world.SEED + start,
        ).args[0]  # fmt: skip
        edited_pictures.append(stock.VAEDecode().decode(toy.vae, painted)[0])
        kept.append(nodes["Img2ImgKeepUnmasked"].execute(original, edited_pictures[-1], mask, 0).args[0])
    return torch.cat(edited_pictures), torch.cat(kept)


def changed_outside(asked: Recoloring, pictures: torch.Tensor) -> tuple[int, int]:
    """Pixels outside the masks that are no longer the original's: in float, and as the 8-bit values that are saved."""
    outside = asked.mask == 0
    return changed_pixels(asked.before, pictures, outside), changed_pixels(
        as_8bit(asked.before), as_8bit(pictures), outside
    )


def discs(count: int) -> torch.Tensor:
    """MASK [n, 128, 128] with a disc each, of 22 to 34 pixels radius and nowhere near the picture's edge."""
    place = torch.rand(count, 3, generator=torch.Generator().manual_seed(5))
    across = torch.arange(128)
    y, x = across[:, None] - 40 - 48 * place[:, 0, None, None], across - 40 - 48 * place[:, 1, None, None]
    return (y**2 + x**2 < (22 + 12 * place[:, 2, None, None]) ** 2).float()


def thought_over(nodes: dict[str, Any], toy: world.Toy, count: int, rounds: int) -> str:
    """PSNR to the drawn scenes inside of the discs and along their border, and the calls of a picture."""
    scenes = world.held_out(count, FIRST_DISC)
    truth, mask, latents = world.drawn(scenes), discs(count), toy.encoded(world.drawn(scenes))
    sigmas = nodes["StrengthScheduler"].execute(toy.model, "normal", STEPS, STRENGTH).args[0]
    painted, calls = [], 0
    for start in range(0, count, world.BATCH):
        some = slice(start, start + world.BATCH)
        latent, report = nodes["Img2ImgGuidedSampler"].execute(
            toy.model, world.prompts(toy.clip, scenes[some]), toy.empty, {"samples": latents[some]}, sigmas, DISC_CFG,
            "euler", world.SEED + start, mask[some], think=rounds,
        ).args  # fmt: skip
        painted.append(toy.vae.decode(latent["samples"]))
        calls = json.loads(report)["model_calls"]
    border = mask * torch.nn.functional.max_pool2d(1 - mask[:, None], 2 * BORDER + 1, 1, BORDER)[:, 0]
    found = [
        statistics.mean(
            world.decibels(a[m > 0], b[m > 0]) for a, b, m in zip(torch.cat(painted), truth, part, strict=True)
        )
        for part in (mask, border)
    ]
    return f"{found[0]:.2f} inside, {found[1]:.2f} within {BORDER} pixels of the border, {calls} calls"


def main() -> None:
    """Inpaint on both families of the demo checkpoint; write what changed outside the masks and what is seen inside."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=SCENES)
    count = parser.parse_args().scenes
    torch.set_num_threads(1)
    nodes, on = pack.load(), results.processor()
    with torch.inference_mode():
        asked = recoloring(count)
        pixels = int((asked.mask == 0).sum())
        for family in ("eps", "flow"):
            toy = world.Toy(nodes, family)
            judge = reader.load(toy.vae)
            edited_pictures, kept = inpainted(nodes, toy, asked)
            before, after = changed_outside(asked, edited_pictures), changed_outside(asked, kept)
            without = ", ".join(f"{changed / pixels:.0%}" for changed in before)
            shown = f"{after[0]} in float, {after[1]} as 8-bit (without Keep Unmasked: {without})"
            results.write(f"Inpainting {count} scenes, {family}: changed pixels outside the mask", shown, "0", on)
            there, ceiling = (judge.right(one, [a for a, _ in asked.targets])[:, COLOR] for one in (kept, asked.truth))
            results.write(
                f"Inpainting {count} scenes, {family}: the color asked for is there",
                f"{int(there.sum())} ({int(ceiling.sum())} of the scenes drawn so)",
                "",
                on,
            )
            for rounds in ROUNDS:
                what = f"Inpainting discs of {count} scenes, {family}, think {rounds}: PSNR in dB to the scene"
                results.write(what, thought_over(nodes, toy, count, rounds), "", on)
