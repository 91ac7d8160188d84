"""Does a picture stay what it was when it is enlarged?

Held-out scenes of the demo world, drawn at 128 pixels and enlarged to 512, beside the same scenes drawn at 512. Upscale
with and without inversion, and the nodes of UltimateSDUpscale and TiledDiffusion from the folders named by --peers
(github.com/ssitu/ComfyUI_UltimateSDUpscale with its submodule, github.com/shiimizu/ComfyUI-TiledDiffusion). Under the
caption and without a prompt, at equal steps and from the same noise level. Every way shows the model 160 pixels at a
time, which is what UltimateSDUpscale makes of tiles of 128 with its padding of 32; the rest is as each comes.

Edges: squared gradients over the true scene's, and how much of them lies on the scene's own, told by projecting them on
those; the rest is invented.

Seams: the gradient across the lines where tiles meet, over that across the other borders of cells; and that over the
same in the enlarged picture once it was encoded and decoded, which has no tiles, so that what the scenes show at those
lines cancels out. The more a way invents, the less of it does.

Time: processor time of Upscale over each of the other packs, in pairs, one scene at a time.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..core.fit import Size, resize
from ..core.noise import digest
from ..core.sheet import from_pillow
from ..core.tiles import plan_tiles
from ..demo.scene import scene
from ..dev import pack
from . import peers, results, world
from .pairs import median_ratio
from .tiles import CELL, gradients, lines_of

SCENES, STEPS, STRENGTHS = 50, 8, (0.25, 0.4, 0.6)
INVERTED = (0.0, 0.5, 1.0)
LARGE, TILE, OVERLAP = 512, 160, 32
ULTIMATE_TILE, ULTIMATE_PADDING = 128, 32
TOGETHER = 5  # scenes that are worked on as one batch
PAIRS, TIMED_STRENGTH, TIMED_INVERT, TIMED_PROMPT, TIME_LIMIT = 9, 0.4, 1.0, "caption, cfg 3", 1.0

Way = Callable[["Setting", Any, float, float, int], torch.Tensor]
"""(setting, prompt, cfg, strength, seed) -> pictures."""


class Setting:
    """A few scenes, small and as they should become, and a family of the toy."""

    def __init__(self, toy: world.Toy, scenes: list[world.Scene]) -> None:
        self.nodes, self.toy, self.small = toy.nodes, toy, world.drawn(scenes)
        self.truth = torch.cat([from_pillow(scene(*one, LARGE)) for one in scenes])
        self.enlarged = resize(self.small, Size(LARGE, LARGE)).clamp(0, 1)
        self.plain = toy.vae.decode(toy.vae.encode(self.enlarged))
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
    """Every way there is by name, with the lines at which its tiles meet; others: nodes of other packs."""
    cells = LARGE // CELL
    lines = lines_of(plan_tiles(cells, cells, TILE // CELL, OVERLAP // CELL), LARGE)
    found = {f"Upscale, invert {invert:g}": (upscale(invert), lines) for invert in INVERTED}
    return found | {name: (way, lines if meet is None else meet) for name, (way, meet) in other_ways(others).items()}


def other_ways(others: dict[str, Any]) -> dict[str, tuple[Way, set[int] | None]]:
    """The ways of other packs, with the lines at which their tiles meet where these are not Upscale's."""
    found: dict[str, tuple[Way, set[int] | None]] = {}
    if "UltimateSDUpscaleCustomSample" in others:  # the one of its nodes that does without an upscale model
        meet = set(range(ULTIMATE_TILE, LARGE, ULTIMATE_TILE))
        found["UltimateSDUpscale"] = (ultimate(others["UltimateSDUpscaleCustomSample"]), meet)
    if "TiledDiffusion" in others:
        found["TiledDiffusion"] = (tiled_diffusion(others["TiledDiffusion"]), None)
    return found


@dataclass(frozen=True)
class Judged:
    """What is seen of one picture.

    true, like:   PSNR to the true scene and to the enlarged picture
    energy:       squared gradients of the true scene
    sharp, own:   the same of the picture, and the product of its gradients and the scene's
    line, other:  mean gradient across the lines where tiles meet, and across the other borders of cells
    plain_line, plain_other: the same where nothing was painted
    """

    true: float
    like: float
    energy: float
    sharp: float
    own: float
    line: float
    other: float
    plain_line: float
    plain_other: float


def judged(pictures: torch.Tensor, setting: Setting, lines: set[int]) -> list[Judged]:
    """What is seen of each picture of a way whose tiles meet at these lines."""
    return [
        Judged(
            world.decibels(picture, truth),
            world.decibels(picture, enlarged),
            along(truth, truth),
            along(picture, picture),
            along(picture, truth),
            *gradients(picture[None], lines),
            *gradients(plain[None], lines),
        )
        for picture, truth, enlarged, plain in zip(
            pictures, setting.truth, setting.enlarged, setting.plain, strict=True
        )
    ]


def along(picture: torch.Tensor, other: torch.Tensor) -> float:
    """The product of the gradients of two pictures [H, W, 3], over all pixels."""
    return sum(float((picture.diff(dim=axis) * other.diff(dim=axis)).double().sum()) for axis in (0, 1))


def in_words(found: list[Judged]) -> str:
    """Means over all pictures; in a ratio, a picture with more in it counts more."""
    mean = Judged(*(statistics.mean(getattr(one, field.name) for one in found) for field in fields(Judged)))
    seams = mean.line / mean.other * mean.plain_other / mean.plain_line
    return (
        f"{mean.true:.2f} dB to the scene, {mean.like:.2f} dB to the enlarged picture, edges "
        f"{mean.sharp / mean.energy:.2f} ({mean.own / mean.energy:.2f} on the scene's), seams {seams:.3f}"
    )


def main() -> None:
    """A row for each family, prompt, strength and way; or how long ours takes beside the others."""
    asked = arguments()
    torch.set_num_threads(1)
    nodes, others = pack.load(), peers.nodes(asked.peers)
    with torch.inference_mode():
        toys = [world.Toy(nodes, family) for family in asked.families]
        if asked.time:
            for toy in toys:
                time_beside(toy, other_ways(others))
        else:
            pictures(toys, asked, ways(others))


def pictures(toys: list[world.Toy], asked: argparse.Namespace, every: dict[str, tuple[Way, set[int]]]) -> None:
    """A row for each family, prompt, strength and way."""
    rows: dict[str, list[Judged]] = defaultdict(list)
    chosen = {name: every[name] for name in asked.ways or every}
    for toy in toys:
        toy.vae.encode = remembering(toy.vae.encode)
    for first, toy in itertools.product(range(0, asked.scenes, TOGETHER), toys):
        setting = Setting(toy, world.held_out(min(TOGETHER, asked.scenes - first), first))
        for strength, prompt, name in itertools.product(asked.strengths, asked.prompts, chosen):
            what, (way, lines) = f"{toy.family}, {prompt}, strength {strength:g}: {name}", chosen[name]
            paint = partial(way, setting, *setting.prompts[prompt], strength, world.SEED + first // TOGETHER)
            rows[what] += judged(kept(asked.pictures, f"{what}, from scene {first}", paint), setting, lines)
    for what, row in rows.items():
        question = f"Four times as large, {len(row)} scenes, {what}"
        results.write(question, in_words(row), "", results.processor())


def time_beside(toy: world.Toy, others: dict[str, tuple[Way, Any]]) -> None:
    """Processor time of Upscale over that of each of the others, by a pair for each scene."""
    for name, (other, _) in others.items():
        settings = iter([Setting(toy, [one]) for one in world.held_out(PAIRS) for _ in (0, 1)])

        def run(way: Way, settings: Iterator[Setting] = settings) -> None:
            setting = next(settings)
            way(setting, *setting.prompts[TIMED_PROMPT], TIMED_STRENGTH, world.SEED)

        ratio = median_ratio(partial(run, upscale(TIMED_INVERT)), partial(run, other), PAIRS)
        what = f"Four times as large, {toy.family}, {TIMED_PROMPT}, strength {TIMED_STRENGTH:g}"
        question = f"{what}: time of Upscale, invert {TIMED_INVERT:g} over that of {name}"
        results.write(question, f"{ratio:.3f}", f"at most {TIME_LIMIT:g}", results.processor())


def remembering(encode: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """What encodes a picture once, however many ways begin with it."""
    known: dict[str, torch.Tensor] = {}

    def remembered(pixels: torch.Tensor) -> torch.Tensor:
        name = digest(pixels)
        if name not in known:
            known[name] = encode(pixels)
        return known[name]

    return remembered


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenes", type=int, default=SCENES)
    parser.add_argument("--families", nargs="*", default=["eps", "flow"])
    parser.add_argument("--strengths", nargs="*", type=float, default=STRENGTHS)
    parser.add_argument("--prompts", nargs="*", default=["caption, cfg 3", "no prompt"])
    parser.add_argument("--ways", nargs="*", default=[], help="only these, as the rows name them")
    parser.add_argument("--pictures", type=Path, help="a folder: what was painted there before is not painted again")
    parser.add_argument("--time", action="store_true", help="only how long Upscale takes beside the others")
    parser.add_argument("--peers", nargs="*", default=[], help="folders of other packs")
    return parser.parse_args()


def kept(folder: Path | None, name: str, make: Callable[[], torch.Tensor]) -> torch.Tensor:
    """Pictures that lie in a folder by their name, or else are made now and put there; without a folder, made."""
    if folder is None:
        return make()
    path = folder / f"{name}.pt"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(make().half(), path)
    return torch.load(path).float()
