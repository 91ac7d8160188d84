"""Does a picture stay what it was when it is enlarged?

Held-out scenes of the demo world, drawn at 128 pixels and enlarged to 512, beside the same scenes drawn at 512. Tiled
Refine, with and without inversion, against the recipe of UltimateSDUpscale, rebuilt here from what its project
publishes (github.com/ssitu/ComfyUI_UltimateSDUpscale: linear mode, padding 32, mask blur 8, no seam fix), since it is
no package: tile after tile with its padding is encoded, sampled by KSampler, decoded to 8 bit and pasted under a
blurred mask. Both under the caption and without a prompt, at equal steps and strength.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import statistics
import time
from typing import Any

import torch

from ..core.fit import Size, resize
from ..core.metrics import as_8bit
from ..core.sheet import from_pillow
from ..demo.scene import scene
from ..dev import pack
from . import results, world

SCENES, STEPS, STRENGTHS = 50, 8, (0.25, 0.4, 0.6)
LARGE, TILE, OVERLAP = 512, 128, 16
PADDING, BLUR = 32, 8


class Setting:
    """Scenes, small and as they should become, and a family of the toy."""

    def __init__(self, nodes: dict[str, Any], family: str, count: int) -> None:
        self.nodes, self.toy, scenes = nodes, world.Toy(nodes, family), world.held_out(count)
        self.small = world.drawn(scenes)
        self.truth = torch.cat([from_pillow(scene(*one, LARGE)) for one in scenes])
        self.enlarged = resize(self.small, Size(LARGE, LARGE)).clamp(0, 1)
        self.prompts = {
            "caption, cfg 3": (world.prompts(self.toy.clip, scenes), 3.0),
            "no prompt": (self.toy.empty, 1.0),
        }

    def refined(self, prompt: str, strength: float, invert: float) -> tuple[torch.Tensor, int]:
        """Pictures of Tiled Refine, and how often a tile was asked about."""
        positive, cfg = self.prompts[prompt]
        image, report = self.nodes["Img2ImgTiledRefine"].execute(
            self.small, self.toy.vae, self.toy.model, positive, self.toy.empty, LARGE / self.small.shape[1], strength,
            STEPS, cfg, "euler", "normal", world.SEED, TILE, OVERLAP, invert=invert,
        ).args  # fmt: skip
        return image, json.loads(report)["tile_evaluations"]

    def tile_by_tile(self, prompt: str, strength: float) -> tuple[torch.Tensor, int]:
        """The same by UltimateSDUpscale's recipe; the padded side is rounded up to 64, as there."""
        positive, cfg = self.prompts[prompt]
        stock, side, image = importlib.import_module("nodes"), math.ceil((TILE + PADDING) / 64) * 64, self.enlarged
        blur = importlib.import_module("torchvision.transforms.functional").gaussian_blur
        starts = range(0, LARGE, TILE)
        for top, left in ((top, left) for top in starts for left in starts):
            y, x = (min(max(0, start + (TILE - side) // 2), LARGE - side) for start in (top, left))
            image, mask = image.clone(), torch.zeros(1, LARGE, LARGE)
            part = image[:, y : y + side, x : x + side]
            latent = {"samples": self.toy.vae.encode(part)}
            values = (self.toy.model, world.SEED, STEPS, cfg, "euler", "normal", positive, self.toy.empty, latent)
            painted = as_8bit(self.toy.vae.decode(stock.common_ksampler(*values, strength)[0]["samples"])) / 255
            mask[:, top : top + TILE, left : left + TILE] = 1
            alpha = blur(mask, 4 * BLUR + 1, BLUR)[0, y : y + side, x : x + side, None]
            part.copy_(torch.lerp(part, painted, alpha))
        return image, STEPS * len(starts) ** 2

    def judged(self, image: torch.Tensor) -> str:
        """PSNR to the true scene and to the enlarged picture, and edge energy over the true scene's."""

        def edges(picture: torch.Tensor) -> float:
            return sum(float(picture.diff(dim=axis).square().mean()) for axis in (1, 2))

        true, like = (statistics.mean(map(world.decibels, image, aim)) for aim in (self.truth, self.enlarged))
        sharp = edges(image) / edges(self.truth)
        return f"{true:.2f} dB to the scene, {like:.2f} dB to the enlarged picture, edges {sharp:.2f}"


def main() -> None:
    """A row for each family, prompt, strength and way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--families", nargs="*", default=["eps", "flow"])
    parser.add_argument("--strengths", nargs="*", type=float, default=STRENGTHS)
    parser.add_argument("--prompts", nargs="*", default=["caption, cfg 3", "no prompt"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    nodes, on = pack.load(), results.processor()
    with torch.inference_mode():
        for family in asked.families:
            setting = Setting(nodes, family, asked.scenes)
            ways = {"UltimateSDUpscale's recipe": setting.tile_by_tile}
            ways |= {f"Tiled Refine, invert {invert:g}": _with(setting, invert) for invert in (0.0, 0.5, 1.0)}
            for strength in asked.strengths:
                for prompt in asked.prompts:
                    for name, way in ways.items():
                        began = time.process_time()
                        image, tiles = way(prompt, strength)
                        seconds = (time.process_time() - began) / asked.scenes
                        what = f"Four times as large, {asked.scenes} scenes, {family}, {prompt}, strength {strength:g}"
                        results.write(
                            f"{what}: {name}",
                            f"{setting.judged(image)}; {tiles} tiles asked about, {seconds:.1f} s each", "", on,
                        )  # fmt: skip


def _with(setting: Setting, invert: float) -> Any:
    return lambda prompt, strength: setting.refined(prompt, strength, invert)
