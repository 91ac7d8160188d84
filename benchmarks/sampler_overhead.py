"""What does a GuidedSampler run cost, against the same run of the stock KSampler? At most 1.02 times the time.

Both run the same model of ComfyUI's own class with random weights on the same noise, and give the same bits. On the CPU
that is a small UNet on one thread, in processor time, which a busy machine does not stretch; with `--device cuda` it is
one of SD1.5's size in fp16. Peak memory is that of the tensors made in a run of a larger latent; on a graphics
card, of all that lies there in the same run.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch

from ..dev import pack
from .pairs import Comparison, Run, asked

TIME_LIMIT, MEMORY_LIMIT = 1.02, 1.01
STEPS, DENOISE, CFG, SEED = 20, 0.6, 7.5, 7
SIDE, LARGER = 16, 32  # of the latents on the CPU, for time and for memory


def main() -> None:
    """Measure pairs of runs, one after the other, and write the median of their ratios into the table."""
    arguments = asked(__doc__)
    nodes = pack.load(arguments.device)
    torch.set_num_threads(1)
    words = "GuidedSampler against KSampler"
    with torch.inference_mode():
        ours, theirs = _runs(nodes, arguments.device)
        if not ours().equal(theirs()):
            sys.exit("The two runs do not give the same bits, so their times cannot be compared.")
        larger = _runs(nodes, arguments.device, LARGER, 2)
        comparison = Comparison(words, TIME_LIMIT, MEMORY_LIMIT, arguments.device, arguments.pairs)
        holds = comparison.holds(ours, theirs, larger)
    sys.exit(0 if holds else "GuidedSampler costs more than it may.")


def _runs(nodes: dict[str, Any], device: str, side: int = SIDE, steps: int = STEPS) -> tuple[Run, Run]:
    """GuidedSampler and KSampler on the same model, latent, prompt and seed."""
    stock = importlib.import_module("nodes")
    model, prompts, latent = tried(device, side)
    schedule = nodes["StrengthScheduler"].execute(model, "normal", steps, DENOISE, measure="steps")
    sampler = nodes["Img2ImgGuidedSampler"]

    def ours() -> torch.Tensor:
        out = sampler.execute(model, *prompts, latent, schedule.args[0], CFG, "euler", SEED)
        return out.args[0]["samples"]

    def theirs() -> torch.Tensor:
        out = stock.common_ksampler(model, SEED, steps, CFG, "euler", "normal", *prompts, latent, DENOISE)
        return out[0]["samples"]

    return ours, theirs


def tried(device: str, side: int = SIDE) -> tuple[Any, tuple[Any, Any], dict[str, torch.Tensor]]:
    """A model to time, two prompts and a latent for it.

    side: of the latent on the CPU, in cells
    """
    from ..dev import models  # only now, when ComfyUI knows its device

    if device == "cuda":
        unet, dtype, side = models.SD15_UNET, torch.float16, 64
    else:
        unet, dtype = models.SD15_UNET | {"model_channels": 64, "context_dim": 768}, torch.float32
    model = models.random_model("eps", unet=unet, dtype=dtype)
    prompts = models.random_conditioning(1, 768, 77), models.random_conditioning(2, 768, 77)
    return model, prompts, {"samples": torch.randn(1, 4, side, side, generator=torch.Generator().manual_seed(3))}
