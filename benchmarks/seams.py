"""Does an inpainted part show its border, and does a small part painted by region keep its detail?

Held-out scenes of the demo world are repainted under their own captions inside hard masks: discs, boxes, strokes, and
one that touches the picture's edge. The gradient across the mask's border is compared with the scene's own there: 1
means that the border cannot be told from the scene. Each blend of Keep Unmasked takes the same edits.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
from typing import Any

import torch

from ..core.fit import Size, resize
from ..core.metrics import as_8bit, changed_pixels
from ..core.seam import BLENDS
from ..core.sheet import from_pillow
from ..demo.scene import scene
from ..dev import pack
from . import results, world

SCENES, STEPS, CFG, STRENGTH = 50, 12, 5.0, 0.9
SIZE = 128
LARGE, PARTS, PART_STRENGTH = 1024, 10, 0.6  # a part is 1/64 of a large scene


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


def small_part(picture: torch.Tensor) -> torch.Tensor:
    """A mask on the part of a picture [1, 1024, 1024, 3], of 8 x 8 parts, with the strongest edges."""
    side = LARGE // 8
    energy = edges(picture)[None, None]
    best = int(torch.nn.functional.avg_pool2d(energy, side).flatten().argmax())
    top, left = best // 8 * side, best % 8 * side
    mask = torch.zeros(1, LARGE, LARGE)
    mask[:, top : top + side, left : left + side] = 1
    return mask


def edges(picture: torch.Tensor) -> torch.Tensor:
    """The energy of the gradient at each pixel of one picture, [H, W]."""
    padded = torch.nn.functional.pad(picture.movedim(-1, 1), (0, 1, 0, 1), mode="replicate")
    squares = [padded.diff(dim=axis).square().mean(1)[0] for axis in (2, 3)]
    return squares[0][:, :-1] + squares[1][:-1]


def details(nodes: dict[str, Any], toy: world.Toy, count: int) -> None:
    """Edge energy inside a small mask against the scene's own: by region, and with the whole picture shrunk."""
    found: dict[str, list[float]] = {"region of 128 px": [], "region of 256 px": [], "whole picture of 128 px": []}
    for one in world.held_out(count):
        truth = from_pillow(scene(*one, LARGE))
        mask, prompt = small_part(truth), world.prompts(toy.clip, [one])
        inside = mask[0] > 0

        def paint(image: torch.Tensor, prompt: Any = prompt, mask: torch.Tensor = mask, **area: Any) -> torch.Tensor:
            settings = (PART_STRENGTH, STEPS, CFG, "euler", "normal", world.SEED)
            values = (image, toy.model, toy.vae, prompt, toy.empty, *settings)
            return nodes["Img2ImgAllInOne"].execute(*values, mask=mask, **area).args[0]

        small = paint(resize(truth, Size(SIZE, SIZE)))
        edited = resize(small, Size(LARGE, LARGE)).clamp(0, 1)
        whole = nodes["Img2ImgKeepUnmasked"].execute(truth, edited, mask, 0, "seamless").args[0]
        regions = [paint(truth, mask_area="region", target=target) for target in (SIZE, 2 * SIZE)]
        for name, picture in zip(found, (*regions, whole), strict=True):
            found[name].append(float(edges(picture)[inside].mean() / edges(truth)[inside].mean()))
    shown = ", ".join(f"{name} {statistics.mean(values):.2f}" for name, values in found.items())
    results.write(
        f"A part of 1/64 of {count} scenes of {LARGE} px, {toy.family}: edge energy inside over the scene's own",
        shown, "0.90 by region", results.processor(),
    )  # fmt: skip


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
            details(nodes, toy, min(PARTS, count))
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
