"""Does an inpainted part show its border, and does a small part painted by region keep its detail?

Held-out scenes of the demo world are repainted under their own captions inside hard masks: discs, boxes, strokes, and
one that touches the picture's edge. The gradient across the mask's border is compared with the scene's own there: 1
means that the border cannot be told from the scene. Each blend of Keep Unmasked takes the same edits.

What a seamless blend of a large picture costs is measured too: its seconds on the clock with as many threads as PyTorch
takes by itself, and the most bytes of tensors that it makes over those of the picture.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from ..core.fit import Size, resize
from ..core.metrics import as_8bit, changed_pixels
from ..core.seam import BLENDS, seamless
from ..core.sheet import from_pillow
from ..demo.scene import scene
from ..dev import pack
from . import peers, results, world
from .memory import peak

SCENES, STEPS, CFG, STRENGTH = 50, 12, 5.0, 0.9
SIZE = 128
FEATHER, CROP_BLEND, GROW, BLUR = 8, 8, 4, 2
LARGE, PART_STRENGTH = 1024, 0.6  # a part is 1/64 of a large scene
TARGETS = (128, 256)  # the toy's own size, and the region's own scale
WIDE, RUNS = (2160, 3840), 5
SECONDS_LIMIT, MEMORY_LIMIT = 0.5, 4


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
    energy = gradients(picture).square().sum((0, 1))
    best = int(torch.nn.functional.avg_pool2d(energy[None, None], side).flatten().argmax())
    top, left = best // 8 * side, best % 8 * side
    mask = torch.zeros(1, LARGE, LARGE)
    mask[:, top : top + side, left : left + side] = 1
    return mask


def gradients(picture: torch.Tensor) -> torch.Tensor:
    """The steps from each pixel of one picture to its neighbors below and to the right, [2, C, H, W]."""
    padded = torch.nn.functional.pad(picture.movedim(-1, 1), (0, 1, 0, 1), mode="replicate")[0]
    return torch.stack([padded.diff(dim=1)[..., :-1], padded.diff(dim=2)[:, :-1]])


def details(nodes: dict[str, Any], toy: world.Toy, scenes: list[world.Scene]) -> None:
    """Edges inside a small mask against the scene's own: by region, and with the whole picture shrunk.

    Energy counts all there is; what lies on the scene's own edges is told by projecting gradients on the scene's.
    """
    names = [f"region painted at {target} px" for target in TARGETS] + [f"whole picture at {SIZE} px"]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    for one in scenes:
        truth = from_pillow(scene(*one, LARGE))
        mask, prompt = small_part(truth), world.prompts(toy.clip, [one])

        def paint(image: torch.Tensor, prompt: Any = prompt, mask: torch.Tensor = mask, **area: Any) -> torch.Tensor:
            settings = (PART_STRENGTH, STEPS, CFG, "euler", "normal", world.SEED)
            values = (image, toy.model, toy.vae, prompt, toy.empty, *settings)
            return nodes["Img2ImgAllInOne"].execute(*values, mask=mask, **area).args[0]

        small = paint(resize(truth, Size(SIZE, SIZE)))
        edited = resize(small, Size(LARGE, LARGE)).clamp(0, 1)
        whole = nodes["Img2ImgKeepUnmasked"].execute(truth, edited, mask, 0, "seamless").args[0]
        regions = [paint(truth, mask_area="region", target=target) for target in TARGETS]
        goal = gradients(truth)[..., mask[0] > 0]
        for name, picture in zip(found, (*regions, whole), strict=True):
            got, energy = gradients(picture)[..., mask[0] > 0], goal.square().sum()
            found[name].append((float(got.square().sum() / energy), float((got * goal).sum() / energy)))
    each = {name: [statistics.mean(values) for values in zip(*pairs, strict=True)] for name, pairs in found.items()}
    shown = ", ".join(f"{name} {energy:.2f} ({own:.2f} on the scene's edges)" for name, (energy, own) in each.items())
    results.write(
        f"A part of 1/64 of {len(scenes)} scenes of {LARGE} px, {toy.family}: edge energy inside over the scene's own",
        shown, "0.90 by region", results.processor(),
    )  # fmt: skip


def wide() -> None:
    """Seconds and memory of a seamless blend of a large picture, under a box that leaves a margin of an eighth."""
    drawing = resize(from_pillow(scene(*world.held_out(1)[0], LARGE)), Size(*WIDE)).clamp(0, 1)
    edited, mask = 0.8 * drawing + 0.1, torch.zeros(1, *WIDE)
    mask[:, WIDE[0] // 8 : -WIDE[0] // 8, WIDE[1] // 8 : -WIDE[1] // 8] = 1

    def blend() -> None:
        seamless(drawing, edited, mask)

    seconds, most = [], peak(blend, gpu=False) / drawing.nbytes
    for _ in range(RUNS):
        began = time.perf_counter()
        blend()
        seconds.append(time.perf_counter() - began)
    results.write(
        f"A seamless blend of {WIDE[1]} x {WIDE[0]} pixels",
        f"{statistics.median(seconds):.2f} s, memory {most:.1f} times the picture's",
        f"at most {SECONDS_LIMIT} s, {MEMORY_LIMIT} times", results.processor(),
    )  # fmt: skip


Blended = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor]
"""(scenes, edited scenes, [1, H, W] mask) -> the edit in the scenes."""


def blends(nodes: dict[str, Any], others: dict[str, Any]) -> dict[str, Blended]:
    """Every way to put an edit back by name; others: nodes of other packs."""
    keep = nodes["Img2ImgKeepUnmasked"].execute
    ways: dict[str, Blended] = {
        blend: lambda truth, edited, mask, blend=blend: keep(truth, edited, mask, FEATHER, blend).args[0]
        for blend in BLENDS
    }
    ways["Image Composite Masked"] = composited
    if "InpaintCropImproved" in others:
        ways["Crop and Stitch"] = partial(stitched, others)
    if "INPAINT_ExpandMask" in others:
        grown = others["INPAINT_ExpandMask"].execute
        ways["Acly's Expand Mask"] = lambda truth, edited, mask: composited(
            truth, edited, grown(mask, GROW, BLUR, "gaussian").args[0]
        )
    return ways


def composited(truth: torch.Tensor, edited: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """By ComfyUI's own node."""
    node = importlib.import_module("comfy_extras.nodes_mask").ImageCompositeMasked()
    return node.composite(truth, edited, 0, 0, False, mask)[0]


def stitched(others: dict[str, Any], truth: torch.Tensor, edited: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """By Inpaint Crop and Inpaint Stitch, with the whole picture as context, so that the edit can be the same."""
    crop, stitch = others["InpaintCropImproved"], others["InpaintStitchImproved"]
    asked = {name: options[1]["default"] for name, options in crop.INPUT_TYPES()["required"].items() if options[1:]}
    asked |= {"mask_blend_pixels": CROP_BLEND, "context_from_mask_extend_factor": 100.0, "output_padding": "8"}
    asked |= {"output_target_width": SIZE, "output_target_height": SIZE, "device_mode": "cpu (compatible)"}
    with peers.quiet():
        stitcher, part, _ = crop().inpaint_crop(truth, **asked, mask=mask.expand(len(truth), -1, -1))
        assert part.shape == edited.shape
        return stitch().inpaint_stitch(stitcher, edited)[0]


def judged(truth: torch.Tensor, edits: dict[str, torch.Tensor], blend: Blended) -> str:
    """The gradient at the border over the scenes' own, by kind of mask, and what changed outside."""
    ratios, changed, saved, pixels = {}, 0, 0, 0
    for name, mask in masks().items():
        kept = blend(truth, edits[name], mask)
        ratios[name] = across(kept, mask) / across(truth, mask)
        outside = (mask == 0).expand(len(kept), -1, -1)
        changed += changed_pixels(truth, kept, outside)
        saved += changed_pixels(as_8bit(truth), as_8bit(kept), outside)
        pixels += int(outside.sum())
    shown = ", ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items())
    ratio = f"{statistics.mean(ratios.values()):.2f} ({shown})"
    return f"{ratio}; {changed} of {pixels} pixels outside changed, {saved} as 8-bit"


def borders(nodes: dict[str, Any], toy: world.Toy, scenes: list[world.Scene], others: dict[str, Any]) -> None:
    """The gradient at the border of every kind of mask, by every way to blend."""
    truth = world.drawn(scenes)
    edits = {name: repainted(nodes, toy, scenes, mask) for name, mask in masks().items()}
    for name, blend in blends(nodes, others).items():
        results.write(
            f"Seams of {len(scenes)} scenes, {toy.family}, {name}: gradient at the mask's border over the scene's own",
            judged(truth, edits, blend), "1.15, 0 pixels" if name == "seamless" else "", results.processor(),
        )  # fmt: skip


QUESTIONS = ("wide", "details", "borders")


def main() -> None:
    """Answer all questions, or only the named ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", nargs="*", default=list(QUESTIONS), help=f"of {', '.join(QUESTIONS)}; or all")
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--peers", nargs="*", default=[], help="folders of other packs")
    asked = parser.parse_args()
    nodes, scenes, others = pack.load(), world.held_out(asked.scenes), peers.nodes(asked.peers)
    if "wide" in asked.questions:
        wide()
    torch.set_num_threads(1)
    with torch.inference_mode():
        for family in ("eps", "flow"):
            toy = world.Toy(nodes, family)
            if "details" in asked.questions:
                details(nodes, toy, scenes)
            if "borders" in asked.questions:
                borders(nodes, toy, scenes, others)
