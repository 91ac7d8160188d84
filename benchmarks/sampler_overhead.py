"""What does a GuidedSampler run cost, against the same run of the stock KSampler? At most 1.02 times the time.

Both run the same model of ComfyUI's own class with random weights on the same noise, and give the same bits. On the CPU
that is a small UNet on one thread, in processor time, which a busy machine does not stretch; with `--device cuda` it is
one of SD1.5's size in fp16, and peak memory is compared as well.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

from ..dev import pack
from . import results
from .pairs import median_ratio

TIME_LIMIT, MEMORY_LIMIT = 1.02, 1.01
STEPS, DENOISE, CFG, SEED = 20, 0.6, 7.5, 7


def main() -> None:
    """Measure pairs of runs, one after the other, and write the median of their ratios into the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--pairs", type=int, default=15)
    arguments = parser.parse_args()
    nodes = pack.load(arguments.device)
    gpu = arguments.device == "cuda"
    torch.set_num_threads(1)
    clock = time.perf_counter if gpu else time.process_time
    with torch.inference_mode():
        ours, theirs = _runs(nodes, arguments.device)
        if not ours().equal(theirs()):
            sys.exit("The two runs do not give the same bits, so their times cannot be compared.")
        # The results lie on the CPU, so nothing is left running on the device when a run ends.
        ratio = median_ratio(ours, theirs, arguments.pairs, clock)
        machine = torch.cuda.get_device_name() if gpu else results.processor()
        results.write("GuidedSampler against KSampler, time", f"{ratio:.3f}", f"at most {TIME_LIMIT}", machine)
        failed = ratio > TIME_LIMIT
        if gpu:
            memory = peak(ours) / peak(theirs)
            limit = f"at most {MEMORY_LIMIT}"
            results.write("GuidedSampler against KSampler, peak memory", f"{memory:.3f}", limit, machine)
            failed = failed or memory > MEMORY_LIMIT
    sys.exit("GuidedSampler costs more than it may." if failed else 0)


def _runs(nodes: dict[str, Any], device: str) -> tuple[Callable[[], torch.Tensor], Callable[[], torch.Tensor]]:
    """GuidedSampler and KSampler on the same model, latent, prompt and seed."""
    stock = importlib.import_module("nodes")
    model, prompts, latent = tried(device)
    schedule = nodes["StrengthScheduler"].execute(model, "normal", STEPS, DENOISE, measure="steps")
    sampler = nodes["Img2ImgGuidedSampler"]

    def ours() -> torch.Tensor:
        out = sampler.execute(model, *prompts, latent, schedule.args[0], CFG, "euler", SEED)
        return out.args[0]["samples"]

    def theirs() -> torch.Tensor:
        out = stock.common_ksampler(model, SEED, STEPS, CFG, "euler", "normal", *prompts, latent, DENOISE)
        return out[0]["samples"]

    return ours, theirs


def tried(device: str) -> tuple[Any, tuple[Any, Any], dict[str, torch.Tensor]]:
    """A model to time, two prompts and a latent for it."""
    from ..dev import models  # only now, when ComfyUI knows its device

    if device == "cuda":
        unet, dtype, size = models.SD15_UNET, torch.float16, 64
    else:
        unet, dtype, size = models.SD15_UNET | {"model_channels": 64, "context_dim": 768}, torch.float32, 16
    model = models.random_model("eps", unet=unet, dtype=dtype)
    prompts = models.random_conditioning(1, 768, 77), models.random_conditioning(2, 768, 77)
    return model, prompts, {"samples": torch.randn(1, 4, size, size, generator=torch.Generator().manual_seed(3))}


def peak(run: Callable[[], Any]) -> int:
    """Bytes on the device at the worst moment of a run."""
    torch.cuda.reset_peak_memory_stats()
    run()
    return torch.cuda.max_memory_allocated()
