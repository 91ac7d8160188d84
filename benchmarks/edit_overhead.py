"""What does a step of Edit by Words cost, against a guided step of the stock KSampler? At most 1.05 times as much.

A step of an edit at cfg 1 asks both prompts in one batch, which is what a guided step of a plain run does with a prompt
and its negative: as many evaluations, in batches of the same size. Both run on the same model of ComfyUI's own class
with random weights, over the same sigmas. On the CPU that is a small UNet on one thread, in processor time, which a
busy machine does not stretch; with `--device cuda` it is one of SD1.5's size in fp16. Peak memory is that of the
tensors made in a run of a larger latent; on a graphics card, of all that lies there in the same run.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import torch

from ..dev import pack
from .pairs import Comparison, Run, asked
from .sampler_overhead import CFG, LARGER, SEED, SIDE, STEPS, tried

TIME_LIMIT, MEMORY_LIMIT = 1.05, 1.05


def main() -> None:
    """Measure pairs of runs, one after the other, and write the median of their ratios into the table."""
    arguments = asked(__doc__)
    nodes = pack.load(arguments.device)
    torch.set_num_threads(1)
    words = "A step of Edit by Words against a guided step"
    with torch.inference_mode():
        ours, theirs = _runs(nodes, arguments.device)
        batches = _batches(nodes, arguments.device)
        if batches != [2] * STEPS:
            sys.exit(f"The edit asked the model in batches of {batches}, a guided step in one of 2.")
        larger = _runs(nodes, arguments.device, LARGER, 2)
        comparison = Comparison(words, TIME_LIMIT, MEMORY_LIMIT, arguments.device, arguments.pairs)
        holds = comparison.holds(ours, theirs, larger)
    sys.exit(0 if holds else "An edit costs more than it may.")


def _runs(nodes: dict[str, Any], device: str, side: int = SIDE, steps: int = STEPS) -> tuple[Run, Run]:
    """An edit and a guided KSampler run on the same model, latent and prompts, over as many steps."""
    stock = importlib.import_module("nodes")
    model, prompts, latent = tried(device, side)
    edit = nodes["Img2ImgPromptEdit"]

    def ours() -> Any:
        return edit.execute(model, *prompts, prompts[1], latent, "normal", steps, 1.0, 1.0, 1.0, SEED)

    def theirs() -> Any:
        return stock.common_ksampler(model, SEED, steps, CFG, "euler", "normal", *prompts, latent)

    return ours, theirs


def _batches(nodes: dict[str, Any], device: str) -> list[int]:
    """In batches of which sizes an edit of one picture asks the model."""
    model, prompts, latent = tried(device)
    asked: list[int] = []

    def watch(apply: Callable[..., Any], given: dict[str, Any]) -> Any:
        asked.append(len(given["input"]))
        return apply(given["input"], given["timestep"], **given["c"])

    watched = model.clone()
    watched.set_model_unet_function_wrapper(watch)
    nodes["Img2ImgPromptEdit"].execute(watched, *prompts, prompts[1], latent, "normal", STEPS, 1.0, 1.0, 1.0, SEED)
    return asked
