"""Upscale on the demo checkpoint: seams, memory and time.

Seams: the mean gradient across the lines where tiles begin and end, against that across the other borders of latent
cells, which a VAE's decoder paints a little harder everywhere. Both are set against the same lines of the picture
painted in one piece, so that what the picture shows there cancels out. The pictures are turned cuts of scenes under the
empty prompt, so that nothing belongs to a certain line.

Memory: the most bytes of tensors that live at one time and do not span the whole picture or latent, as every tensor is
made and freed. Scratch space inside a kernel is not seen.

Time, in processor time on one thread: a tile's evaluation in a large and in a small picture; and the whole node against
what one would wire by hand, a stock KSampler call for each tile between stock tiled encoding and decoding.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import random
import statistics
import time
from typing import Any

import torch

from ..core.sheet import from_pillow
from ..core.tiles import TileGrid, plan_tiles
from ..demo.scene import HELD_OUT_SEEDS, random_attributes, scene
from ..dev import pack
from . import results, world
from .memory import LiveTensors
from .pairs import median_ratio

SEAM_LIMIT, MEMORY_LIMIT, EVALUATION_LIMIT, STOCK_LIMIT = 0.05, 1.10, 1.05, 1.0
CELL, SEED = 8, 7
PICTURES, SMALL, LARGE, PAIRS = 4, 512, 2048, 3


class Setting:
    """The demo checkpoint and the node."""

    def __init__(self) -> None:
        self.nodes = pack.load()
        from .. import host  # only now: it imports ComfyUI

        self.toy = world.Toy(self.nodes, "eps")
        self.host = host

    def refine(self, image: torch.Tensor, strength: float, steps: int, tile: int, overlap: int) -> Any:
        """IMAGE and the report of Upscale, at the picture's own size and under the empty prompt."""
        toy = self.toy
        refined, report = self.nodes["Img2ImgTiledRefine"].execute(
            image, toy.vae, toy.model, toy.empty, toy.empty, 1.0, strength, steps, 1.0, "euler", "normal", SEED, tile,
            overlap,
        ).args  # fmt: skip
        return refined, json.loads(report)


def cut_scene(seed: int, side: int) -> torch.Tensor:
    """A random cut of a large drawing of a scene, turned at random; IMAGE [1, side, side, 3]."""
    draw = random.Random(seed)
    drawing = from_pillow(scene(random_attributes(seed), seed, 2 * side))
    top, left = draw.randrange(side), draw.randrange(side)
    cut = drawing[:, top : top + side, left : left + side]
    return torch.rot90(cut, draw.randrange(4), (1, 2))


def seams(setting: Setting) -> None:
    """Gradients across tile borders, for small and for larger tiles."""
    pictures = [cut_scene(seed, SMALL) for seed in HELD_OUT_SEEDS[:PICTURES]]
    whole = torch.cat([setting.refine(one, 0.2, 3, 8 * SMALL, 0)[0] for one in pictures])
    for tile, overlap in ((128, 32), (256, 64)):
        tiled = torch.cat([setting.refine(one, 0.2, 3, tile, overlap)[0] for one in pictures])
        side = SMALL // CELL
        lines = lines_of(plan_tiles(side, side, tile // CELL, overlap // CELL), SMALL)
        excess = hardness(tiled, lines) / hardness(whole, lines)
        results.write(
            f"Upscale, tiles of {tile} px: gradient across tile borders against inside", f"{excess:.3f}",
            f"{1 - SEAM_LIMIT:.2f} to {1 + SEAM_LIMIT:.2f}", results.processor(),
        )  # fmt: skip


def lines_of(grid: TileGrid, side: int) -> set[int]:
    """The pixels of a picture with a side at which tiles of a grid of cells begin and end."""
    starts, (size, _) = grid.lefts, grid.size
    return {at * CELL for start in starts for at in (start, start + size)} - {0, side}


def hardness(pictures: torch.Tensor, lines: set[int]) -> float:
    """Mean gradient across lines over that across all other cell borders, down and across together."""
    line, other = gradients(pictures, lines)
    return line / other


def gradients(pictures: torch.Tensor, lines: set[int]) -> tuple[float, float]:
    """Mean gradient across lines and across all other cell borders, down and across together."""
    side = pictures.shape[1]
    others = set(range(CELL, side, CELL)) - lines
    across, down = (pictures.diff(dim=axis).abs().double() for axis in (2, 1))

    def mean(which: set[int]) -> float:
        at = [line - 1 for line in sorted(which)]
        return float(across[:, :, at].mean() + down[:, at].mean())

    return mean(lines), mean(others)


def memory(setting: Setting) -> None:
    """The peak beside whole pictures and latents, from a small to a large picture in tiles of one size."""
    tile, overlap = 576, 64  # no layer's plane inside a tile has the size of a whole picture or latent
    peaks, sides = [], (LARGE * 3 // 8, LARGE)
    for side in sides:
        image = cut_scene(HELD_OUT_SEEDS[0], side)
        with LiveTensors({(side, side), (side // CELL, side // CELL)}) as live:
            _, report = setting.refine(image, 0.2, 1, tile, overlap)
        a_side = math.ceil((side - overlap) / (tile - overlap))
        assert report["rows"] == report["columns"] <= a_side
        peaks.append(live.peak)
    results.write(
        f"Upscale, peak memory beside whole pictures, {sides[1]} px against {sides[0]} px",
        f"{peaks[1] / peaks[0]:.3f} ({peaks[0] / 2**20:.0f} MiB)", f"at most {MEMORY_LIMIT}", results.processor(),
    )  # fmt: skip


def evaluations(setting: Setting) -> None:
    """Processor time of one tile's evaluation in a large picture against a small one."""
    pairs = [[_seconds_each(setting, side) for side in (SMALL, LARGE)] for _ in range(PAIRS)]
    ratio = statistics.median(large / small for small, large in pairs)
    results.write(
        f"Upscale, time of a tile's evaluation, {LARGE} px against {SMALL} px", f"{ratio:.3f}",
        f"at most {EVALUATION_LIMIT}", results.processor(),
    )  # fmt: skip


def _seconds_each(setting: Setting, side: int) -> float:
    toy, host = setting.toy, setting.host
    cells = side // CELL
    grid = plan_tiles(cells, cells, 16, 4)
    # As many evaluations for both sizes, so that what a run costs once weighs the same.
    steps = max(1, round(len(plan_tiles(LARGE // CELL, LARGE // CELL, 16, 4)) / len(grid)))
    samples = torch.randn(1, 4, cells, cells, generator=torch.Generator().manual_seed(SEED))
    sigmas = setting.nodes["StrengthScheduler"].execute(toy.model, "normal", steps, 0.5).args[0]
    start = host.Start(samples, host.draw_noise(samples, SEED), [(SEED, 0)])
    guidance = host.tiled(host.Guidance(toy.model, toy.empty, toy.empty, 3.0), grid)
    sampler, progress = host.Sampler.chosen("euler"), host.Progress(toy.model, steps)
    began = time.process_time()
    run = host.sample(guidance, sampler, sigmas, start, host.run_mask(None, samples.shape), progress)
    return (time.process_time() - began) / (run.work.calls * len(grid))


def against_stock(setting: Setting) -> None:
    """Processor time of the node against a stock KSampler call for each tile, and stock tiled encoding and decoding."""
    image, tile, overlap, steps, strength = cut_scene(HELD_OUT_SEEDS[0], 384), 128, 32, 4, 0.5
    stock, toy = importlib.import_module("nodes"), setting.toy
    grid = plan_tiles(image.shape[1] // CELL, image.shape[2] // CELL, tile // CELL, overlap // CELL)

    def by_hand() -> None:
        samples = stock.VAEEncodeTiled().encode(toy.vae, image, tile, overlap)[0]["samples"]
        for corner in grid:
            part = grid.cut(samples, corner)
            painted = stock.common_ksampler(
                toy.model, SEED, steps, 3.0, "euler", "normal", toy.empty, toy.empty, {"samples": part}, strength
            )[0]["samples"]
            part.copy_(painted)
        stock.VAEDecodeTiled().decode(toy.vae, {"samples": samples}, tile, overlap)

    def ours() -> None:
        setting.nodes["Img2ImgTiledRefine"].execute(
            image, toy.vae, toy.model, toy.empty, toy.empty, 1.0, strength, steps, 3.0, "euler", "normal", SEED, tile,
            overlap, measure="steps",
        )  # fmt: skip

    ratio = median_ratio(ours, by_hand, PAIRS)
    results.write(
        "Upscale against a KSampler call for each tile and tiled VAE, time", f"{ratio:.3f}",
        f"at most {STOCK_LIMIT:g}", results.processor(),
    )  # fmt: skip


QUESTIONS = {one.__name__: one for one in (seams, memory, evaluations, against_stock)}


def main() -> None:
    """Answer all questions, or only the named ones."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("questions", nargs="*", default=list(QUESTIONS), help=f"of {', '.join(QUESTIONS)}; or all")
    chosen = parser.parse_args().questions
    torch.set_num_threads(1)
    with torch.inference_mode():
        setting = Setting()
        for name in chosen:
            QUESTIONS[name](setting)
