"""Does a picture stay what it was when it is enlarged?

Held-out scenes of the demo world, drawn at 128 pixels and enlarged to 512, beside the same scenes drawn at 512. Upscale
with and without inversion, and the nodes of UltimateSDUpscale and TiledDiffusion from the folders named by --peers
(github.com/ssitu/ComfyUI_UltimateSDUpscale with its submodule, github.com/shiimizu/ComfyUI-TiledDiffusion). Under the
caption and without a prompt, at equal steps and from the same noise level. Every way shows the model 160 pixels at a
time, which is what UltimateSDUpscale makes of tiles of 128 with its padding of 32; the rest is as each comes.

Seams: the gradient across the lines where tiles meet, over that across the other borders of cells; and that over the
same in the picture that Upscale paints in one piece.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from ..core.fit import Size, resize
from ..core.sheet import from_pillow
from ..core.tiles import plan_tiles
from ..demo.scene import scene
from ..dev import pack
from . import peers, results, world
from .tiles import CELL, hardness, lines_of

SCENES, STEPS, STRENGTHS = 50, 8, (0.25, 0.4, 0.6)
INVERTED = (0.0, 0.5, 1.0)
LARGE, TILE, OVERLAP = 512, 160, 32
ULTIMATE_TILE, ULTIMATE_PADDING = 128, 32
TOGETHER = 5  # scenes that are worked on as one batch

Way = Callable[["Setting", Any, float, float, int], torch.Tensor]
"""(setting, prompt, cfg, strength, seed) -> pictures."""


class Setting:
    """A few scenes, small and as they should become, and a family of the toy."""

    def __init__(self, toy: world.Toy, scenes: list[world.Scene]) -> None:
        self.nodes, self.toy, self.small = toy.nodes, toy, world.drawn(scenes)
        self.truth = torch.cat([from_pillow(scene(*one, LARGE)) for one in scenes])
        self.enlarged = resize(self.small, Size(LARGE, LARGE)).clamp(0, 1)
        self.prompts = {
            "caption, cfg 3": (world.prompts(toy.clip, scenes), 3.0),
            "no prompt": (toy.empty, 1.0),
        }


def upscale(invert: float, tile: int = TILE) -> Way:
    """Upscale with a share of inverted noise."""

    def way(setting: Setting, prompt: Any, cfg: float, strength: float, seed: int) -> torch.Tensor:
        toy = setting.toy
        values = (setting.small, toy.vae, toy.model, prompt, toy.empty, LARGE / setting.small.shape[1], strength)
        return setting.nodes["Img2ImgTiledRefine"].execute(
            *values, STEPS, cfg, "euler", "normal", seed, tile, OVERLAP, measure="steps", invert=invert
        ).args[0]  # fmt: skip

    return way


def ultimate(node: Any) -> Way:
    """UltimateSDUpscale as it comes, with Lanczos in place of an upscale model."""

    def way(setting: Setting, prompt: Any, cfg: float, strength: float, seed: int) -> torch.Tensor:
        toy = setting.toy
        with peers.quiet():
            return node().upscale(
                image=setting.small, model=toy.model, positive=prompt, negative=toy.empty, vae=toy.vae,
                upscale_by=LARGE // setting.small.shape[1], seed=seed, steps=STEPS, cfg=cfg, sampler_name="euler",
                scheduler="normal", denoise=strength, mode_type="Linear", tile_width=ULTIMATE_TILE,
                tile_height=ULTIMATE_TILE, mask_blur=8, tile_padding=ULTIMATE_PADDING, seam_fix_mode="None",
                seam_fix_denoise=1.0, seam_fix_mask_blur=8, seam_fix_width=64, seam_fix_padding=16,
                force_uniform_tiles=True, tiled_decode=False,
            )[0]  # fmt: skip

    return way


def tiled_diffusion(node: Any) -> Way:
    """TiledDiffusion's default method under a stock KSampler, between stock encoding and decoding."""

    def way(setting: Setting, prompt: Any, cfg: float, strength: float, seed: int) -> torch.Tensor:
        toy, stock = setting.toy, importlib.import_module("nodes")
        (model,) = node().apply(toy.model, "Mixture of Diffusers", TILE, TILE, OVERLAP, 4)
        latent = stock.VAEEncode().encode(toy.vae, setting.enlarged)[0]
        values = (model, seed, STEPS, cfg, "euler", "normal", prompt, toy.empty, latent)
        return stock.VAEDecode().decode(toy.vae, stock.common_ksampler(*values, strength)[0])[0]

    return way


def ways(others: dict[str, Any]) -> dict[str, tuple[Way, set[int]]]:
    """Every way there is by name, with the lines at which its tiles meet; others: nodes of other packs.

    The first one paints in one piece.
    """
    cells = LARGE // CELL
    lines = lines_of(plan_tiles(cells, cells, TILE // CELL, OVERLAP // CELL), LARGE)
    found = {"Upscale, one tile, invert 0": (upscale(0.0, LARGE), lines)}
    found |= {f"Upscale, invert {invert:g}": (upscale(invert), lines) for invert in INVERTED}
    if "UltimateSDUpscaleCustomSample" in others:  # the one of its nodes that does without an upscale model
        meet = set(range(ULTIMATE_TILE, LARGE, ULTIMATE_TILE))
        found["UltimateSDUpscale"] = (ultimate(others["UltimateSDUpscaleCustomSample"]), meet)
    if "TiledDiffusion" in others:
        found["TiledDiffusion"] = (tiled_diffusion(others["TiledDiffusion"]), lines)
    return found


def judged(pictures: torch.Tensor, settings: list[Setting], seams: float) -> str:
    """PSNR to the true scenes and to the enlarged pictures, edge energy over the true scenes', and seams."""
    truth, enlarged = (torch.cat([getattr(one, name) for one in settings]) for name in ("truth", "enlarged"))

    def edges(image: torch.Tensor) -> float:
        return sum(float(image.diff(dim=axis).square().mean()) for axis in (1, 2))

    true, like = (statistics.mean(map(world.decibels, pictures, aim)) for aim in (truth, enlarged))
    sharp = edges(pictures) / edges(truth)
    return f"{true:.2f} dB to the scene, {like:.2f} dB to the enlarged picture, edges {sharp:.2f}, seams {seams:.3f}"


def main() -> None:
    """A row for each family, prompt, strength and way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--families", nargs="*", default=["eps", "flow"])
    parser.add_argument("--strengths", nargs="*", type=float, default=STRENGTHS)
    parser.add_argument("--prompts", nargs="*", default=["caption, cfg 3", "no prompt"])
    parser.add_argument("--peers", nargs="*", default=[], help="folders of other packs")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    nodes, on, scenes = pack.load(), results.processor(), world.held_out(asked.scenes)
    others = peers.nodes(asked.peers)
    with torch.inference_mode():
        for family in asked.families:
            toy = world.Toy(nodes, family)
            settings = [Setting(toy, scenes[first : first + TOGETHER]) for first in range(0, len(scenes), TOGETHER)]
            for strength in asked.strengths:
                for prompt in asked.prompts:
                    what = f"Four times as large, {len(scenes)} scenes, {family}, {prompt}, strength {strength:g}"
                    piece = torch.zeros(())
                    for name, (way, lines) in ways(others).items():
                        pictures, seconds = painted(way, settings, prompt, strength)
                        piece = pictures if piece.ndim == 0 else piece
                        found = judged(pictures, settings, hardness(pictures, lines) / hardness(piece, lines))
                        results.write(f"{what}: {name}", f"{found}; {seconds:.1f} s each", "", on)


def painted(way: Way, settings: list[Setting], prompt: str, strength: float) -> tuple[torch.Tensor, float]:
    """All pictures of a way, and its processor time for each."""
    began, pictures = time.process_time(), []
    for which, setting in enumerate(settings):
        pictures.append(way(setting, *setting.prompts[prompt], strength, world.SEED + which))
    return torch.cat(pictures), (time.process_time() - began) / sum(map(len, pictures))
