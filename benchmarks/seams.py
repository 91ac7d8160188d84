"""Does an inpainted part show its border, and does a small part painted by region keep its detail?

Held-out scenes of the demo world are repainted under their own captions inside hard masks: discs, boxes, strokes, and
one that touches the picture's edge. The gradient across the mask's border is compared with the scene's own there: 1
means that the border cannot be told from the scene. Each blend of Keep Unmasked takes the same edits.
"""

from __future__ import annotations

import argparse
import importlib
from typing import Any

import torch

from ..core.metrics import as_8bit, changed_pixels
from ..core.seam import BLENDS
from ..dev import pack
from . import results, world

SCENES, STEPS, CFG, STRENGTH = 50, 12, 5.0, 0.9
SIZE = 128


def masks() -> dict[str, torch.Tensor]:
    """One hard mask of each kind, [1, 128, 128]."""
    y, x = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")
    wave = 64 + 24 * torch.sin(x / 14)
    shapes = {
        "discs": (y - 66) ** 2 + (x - 60) ** 2 < 34**2,
        "boxes": (y >= 37) & (y < 91) & (x >= 29) & (x < 99),
        "strokes": ((y - wave).abs() < 9) & (x > 12) & (x < 116),
        "at the edge": (y - 80) ** 2 + (x - 128) ** 2 < 52**2,
    }
    return {name: shape[None].float() for name, shape in shapes.items()}


def across(picture: torch.Tensor, mask: torch.Tensor) -> float:
    """The mean step between neighbors of which one lies inside the mask and one outside."""
    steps = []
    for axis in (1, 2):
        border = mask.diff(dim=axis).abs().expand(len(picture), -1, -1) > 0
        steps.append(picture.diff(dim=axis).abs().mean(-1)[border])
    return float(torch.cat(steps).mean())


def repainted(nodes: dict[str, Any], toy: world.Toy, scenes: list[world.Scene], mask: torch.Tensor) -> torch.Tensor:
    """The scenes painted anew inside the mask, as they come from VAE Decode."""
    stock = importlib.import_module("nodes")
    sigmas = nodes["StrengthScheduler"].execute(toy.model, "normal", STEPS, STRENGTH).args[0]
    pictures = []
    for start in range(0, len(scenes), world.BATCH):
        some = scenes[start : start + world.BATCH]
        latent = stock.VAEEncode().encode(toy.vae, world.drawn(some))[0]
        seed = world.SEED + start
        noised = nodes["SDEditNoise"].execute(toy.model, latent, sigmas, seed, mask).args[0]
        painted = (
            nodes["Img2ImgGuidedSampler"]
            .execute(toy.model, world.prompts(toy.clip, some), toy.empty, noised, sigmas, CFG, "euler", seed)
            .args[0]
        )
        pictures.append(stock.VAEDecode().decode(toy.vae, painted)[0])
    return torch.cat(pictures)


def main() -> None:
    """Write, for each family and blend, the gradient at the border over the scene's own, and what changed outside."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=SCENES)
    count = parser.parse_args().scenes
    torch.set_num_threads(1)
    nodes, on = pack.load(), results.processor()
    with torch.inference_mode():
        scenes = world.held_out(count)
        truth = world.drawn(scenes)
        for family in ("eps", "flow"):
            toy = world.Toy(nodes, family)
            edits = {name: repainted(nodes, toy, scenes, mask) for name, mask in masks().items()}
            for blend in BLENDS:
                ratios, changed = {}, 0
                for name, mask in masks().items():
                    kept = nodes["Img2ImgKeepUnmasked"].execute(truth, edits[name], mask, 8, blend).args[0]
                    ratios[name] = across(kept, mask) / across(truth, mask)
                    outside = (mask == 0).expand(len(kept), -1, -1)
                    changed += changed_pixels(as_8bit(truth), as_8bit(kept), outside)
                    changed += changed_pixels(truth, kept, outside)
                mean = sum(ratios.values()) / len(ratios)
                shown = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
                results.write(
                    f"Seams of {count} scenes, {family}, {blend}: gradient at the mask's border over the scene's own",
                    f"{mean:.2f} ({shown}); {changed} pixels outside changed",
                    "1.15, 0 pixels" if blend == "seamless" else "",
                    on,
                )
