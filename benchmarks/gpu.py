"""What the sampling nodes cost on a GPU beside ComfyUI's own: time and memory, for two UNets, 512 to 4096 pixels, fp16.

`python -m nox -s benchmarks -- gpu` measures on the GPU that ComfyUI finds and writes benchmarks/gpu.md. On a machine
without one it runs through on the CPU with a tiny UNet and small pictures, to show that it works, and prints the table.
The UNets are ComfyUI's own classes in the sizes of SD1.5 and SDXL with random weights: time and memory do not ask what
they paint.
"""

from __future__ import annotations

import importlib
import itertools
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..dev.pack import load

STEPS, CFG, STRENGTH = 20, 7.0, 0.6
SIDES, LONGEST_WHOLE = (512, 1024, 2048, 4096), 2048
"""Pictures' sides; above the second, only tiles are measured."""
ROUNDS = 3
TABLE = Path(__file__).with_name("gpu.md")
HEAD = "| UNet | node | pixels | seconds | stock | ratio | peak GB | stock's |\n|---|---|---|---|---|---|---|---|\n"


@dataclass(frozen=True)
class Cost:
    """Seconds of the fastest run, and the most memory that tensors took on the GPU at once, in GB; 0 on the CPU."""

    seconds: float
    memory: float


def cost(run: Callable[[], Any]) -> Cost:
    """What a run costs, once it is warm."""
    gpu = torch.cuda.is_available()
    run()
    seconds = []
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    for _ in range(ROUNDS if gpu else 1):
        began = time.perf_counter()
        run()
        if gpu:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return Cost(min(seconds), torch.cuda.max_memory_allocated() / 1e9 if gpu else 0.0)


class Bench:
    """Every node on one model, and stock's way of doing the same.

    steps: of each run
    """

    def __init__(self, nodes: dict[str, Any], model: Any, prompt_width: int, steps: int) -> None:
        from ..dev.models import random_conditioning, random_vae

        self.nodes, self.model, self.steps = nodes, model, steps
        self.vae = random_vae()
        self.positive, self.negative = (random_conditioning(seed, prompt_width, 77) for seed in (1, 2))
        for ((_, options),) in (self.positive, self.negative):
            options["pooled_output"] = torch.ones(1, 1280)  # read by SDXL only

    def latent(self, side: int) -> dict[str, Any]:
        """A latent picture of so many pixels a side."""
        return {"samples": torch.randn(1, 4, side // 8, side // 8, generator=torch.Generator().manual_seed(3))}

    def stock(self, latent: dict[str, Any], cfg: float = CFG, steps: int | None = None) -> Any:
        """KSampler's own function, over the sigmas that the nodes use."""
        import comfy.samplers
        from comfy_extras.nodes_custom_sampler import SamplerCustom

        sigmas = self.nodes["StrengthScheduler"].execute(self.model, "normal", steps or self.steps, STRENGTH).args[0]
        sampler = comfy.samplers.sampler_object("euler")
        guided = (self.model, True, 3, cfg, self.positive, self.negative)
        return SamplerCustom.execute(*guided, sampler, sigmas, latent)

    def runs(self, side: int) -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
        """For each node: its run, and stock's run of as many model calls."""
        stock: Any = importlib.import_module("nodes")
        nodes, model, latent = self.nodes, self.model, self.latent(side)
        image = torch.rand(1, side, side, 3, generator=torch.Generator().manual_seed(4))
        run = (self.steps, STRENGTH)
        how = (self.steps, CFG, "euler", "normal", 3)
        seeds = itertools.count(3)  # a variation that was made before is not made again
        sigmas = nodes["StrengthScheduler"].execute(model, "normal", *run).args[0]
        prompts = (self.positive, self.negative)

        def picture_through() -> Any:
            samples = self.stock(stock.VAEEncode().encode(self.vae, image)[0]).args[0]
            return stock.VAEDecode().decode(self.vae, samples)

        def tiled(steps: int) -> Any:
            tile = min(512, side // 2)
            settings = (1.0, STRENGTH, steps, CFG, "euler", "normal", 3, tile, tile // 8)
            return nodes["Img2ImgTiledRefine"].execute(image, self.vae, model, *prompts, *settings)

        through = {"Tiled Refine": (lambda: tiled(self.steps), picture_through)}
        if side > LONGEST_WHOLE:
            return through
        inversion = nodes["DDIMInvert"].execute(
            model, self.positive, latent, "normal", *run, "ddim", 0, 1.0, 3
        ).args[0]  # fmt: skip
        twice = {"samples": latent["samples"].repeat(2, 1, 1, 1)}
        return {
            "Guided Sampler": (
                lambda: nodes["Img2ImgGuidedSampler"].execute(model, *prompts, latent, sigmas, CFG, "euler", 3),
                lambda: self.stock(latent),
            ),
            "All in One": (
                lambda: nodes["Img2ImgAllInOne"].execute(image, model, self.vae, *prompts, STRENGTH, *how),
                picture_through,
            ),
            "Progressive Refine, 2 passes": (
                lambda: nodes["ProgressiveRefine"].execute(model, *prompts, latent, "0.6, 0.6", *how, "same"),
                lambda: (self.stock(latent), self.stock(latent)),
            ),
            "Variation Batch, 2": (
                lambda: nodes["VariationBatch"].execute(
                    model, *prompts, latent, 2, STRENGTH, *how[:-1], next(seeds), 1.0
                ),
                lambda: self.stock(twice),
            ),
            "Inversion Sampler": (
                lambda: nodes["Img2ImgInversionSampler"].execute(model, *prompts, inversion, CFG, 0.6),
                lambda: self.stock(latent),
            ),
            **through,
        }

    def rows(self, name: str, side: int) -> list[str]:
        """The table's rows for one size; what does not fit into memory says so."""
        rows = []
        for node, (ours, theirs) in self.runs(side).items():
            try:
                mine = cost(ours)
            except torch.OutOfMemoryError:
                rows.append(f"| {name} | {node} | {side} | out of memory | | | | |")
                continue
            try:
                other = cost(theirs)
            except torch.OutOfMemoryError:
                rows.append(
                    f"| {name} | {node} | {side} | {mine.seconds:.2f} | out of memory | | {mine.memory:.2f} | |"
                )
                continue
            figures = f"{mine.seconds:.2f} | {other.seconds:.2f} | {mine.seconds / other.seconds:.3f}"
            rows.append(f"| {name} | {node} | {side} | {figures} | {mine.memory:.2f} | {other.memory:.2f} |")
            print(rows[-1], flush=True)
        return rows


def main() -> None:
    """Measure everything and write the table."""
    gpu = torch.cuda.is_available() and "--cpu" not in sys.argv
    nodes = load("cuda" if gpu else "cpu")
    from ..dev.models import CONTEXT, SD15_UNET, SDXL_UNET, TINY_UNET, random_model

    shapes = {"SD1.5": (SD15_UNET, 768), "SDXL": (SDXL_UNET, 2048)} if gpu else {"tiny": (TINY_UNET, CONTEXT)}
    rows = []
    with torch.inference_mode():
        for name, (unet, width) in shapes.items():
            dtype = torch.float16 if gpu else torch.float32
            bench = Bench(nodes, random_model("eps", unet=unet, dtype=dtype), width, STEPS if gpu else 2)
            for side in SIDES if gpu else (128, 256):
                rows += bench.rows(name, side)
    device = torch.cuda.get_device_name() if gpu else "the CPU, only to see that it runs through"
    how = f"{STEPS} steps at cfg {CFG:g}, fastest of {ROUNDS} runs"
    head = f"# On a GPU\n\n{device}, torch {torch.__version__}, {how}.\n\n"
    if gpu:
        TABLE.write_text(head + HEAD + "\n".join(rows) + "\n", encoding="utf-8")
    print(head + HEAD + "\n".join(rows))
