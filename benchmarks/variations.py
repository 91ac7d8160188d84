"""What do eight variations cost against one stock KSampler batch of eight, and does memory stay flat beyond the split?

At most 1.02 times the time: processor time on one thread, which a busy machine does not stretch, over so few steps
that whatever is not sampling weighs heavily. The same is asked of large pictures one by one against all at once, which
is how a CPU gets them. Memory is the peak of the whole process while ever more variations are made four at a time.
"""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import torch

from ..dev import pack
from . import results
from .pairs import median_ratio

TIME_LIMIT, MEMORY_LIMIT = 1.02, 1.1
COUNT, STEPS, CFG, SEED, PAIRS, SPLIT = 8, 4, 3.0, 7, 15, 4
COUNTS = (4, 8, 16, 32)
FEW, LARGE_PAIRS = 4, 3


def main() -> None:
    """Measure pairs of runs for time, and processes of their own for memory."""
    if len(sys.argv) > 1:
        print(_peak(int(sys.argv[1])))
        return
    torch.set_num_threads(1)
    with torch.inference_mode():
        ours, theirs = _runs()
        # Only the first has the noise of a stock batch; the others have that of their own seeds.
        if not torch.allclose(ours()[:1], theirs()[:1], atol=1e-4):
            sys.exit("The first pictures of the two runs differ, so their times cannot be compared.")
        ratio = median_ratio(ours, theirs, PAIRS)
        apart = median_ratio(*_one_by_one(), LARGE_PAIRS)
    on = results.processor()
    large = f"{FEW} variations of 512 pixels one by one against all at once, time"
    results.write(large, f"{apart:.3f}", f"at most {TIME_LIMIT}", on)
    question = f"{COUNT} variations against a KSampler batch of {COUNT}, time"
    results.write(question, f"{ratio:.3f}", f"at most {TIME_LIMIT}", on)
    peaks = [_peak_in_a_process(count) for count in COUNTS]
    shown = ", ".join(f"{count}: {peak / peaks[0]:.3f}" for count, peak in zip(COUNTS, peaks, strict=True))
    results.write(
        f"Peak memory of N variations, {SPLIT} at a time, against {COUNTS[0]}", shown, f"at most {MEMORY_LIMIT}", on
    )
    failed = max(ratio, apart) > TIME_LIMIT or peaks[-1] > MEMORY_LIMIT * peaks[0]
    sys.exit("Variations cost more than they may." if failed else 0)


def _runs() -> tuple[Callable[[], torch.Tensor], Callable[[], torch.Tensor]]:
    nodes, model, prompts, latent = _setting()
    stock = importlib.import_module("nodes")
    batch = {"samples": latent["samples"].repeat(COUNT, 1, 1, 1)}

    def ours() -> torch.Tensor:
        # A new object each time: the node keeps what it has made of the last one.
        out = nodes["VariationBatch"].execute(
            model, *prompts, dict(latent), COUNT, 0.6, STEPS, CFG, "euler", "normal", SEED, 1.0, measure="steps"
        )
        return out.args[0]["samples"]

    def theirs() -> torch.Tensor:
        out = stock.common_ksampler(model, SEED, STEPS, CFG, "euler", "normal", *prompts, batch, 0.6)
        return out[0]["samples"]

    return ours, theirs


def _one_by_one() -> tuple[Callable[[], Any], Callable[[], Any]]:
    nodes, model, prompts, _ = _setting()
    latent = {"samples": torch.randn(1, 4, 64, 64, generator=torch.Generator().manual_seed(3))}

    def painted(limit: int) -> Any:
        settings = (FEW, 0.6, STEPS, CFG, "euler", "normal", SEED, 1.0)
        return nodes["VariationBatch"].execute(model, *prompts, dict(latent), *settings, batch_limit=limit)

    return lambda: painted(1), lambda: painted(FEW)


def _setting() -> tuple[dict[str, Any], Any, tuple[Any, Any], dict[str, Any]]:
    nodes = pack.load()
    from ..dev import models  # only now: it imports ComfyUI

    model = models.random_model("eps", unet=models.SD15_UNET | {"model_channels": 64, "context_dim": 768})
    prompts = models.random_conditioning(1, 768, 77), models.random_conditioning(2, 768, 77)
    return nodes, model, prompts, {"samples": torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3))}


def _peak(count: int) -> int:
    """Kilobytes this process held at the worst moment of making `count` variations."""
    import resource

    nodes, model, prompts, latent = _setting()
    with torch.inference_mode():
        nodes["VariationBatch"].execute(
            model, *prompts, latent, count, 0.6, 3, CFG, "euler", "normal", SEED, 1.0, batch_limit=SPLIT
        )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _peak_in_a_process(count: int) -> int:
    command = [sys.executable, "-m", "dev.pack", "benchmarks.variations", str(count)]
    said = subprocess.run(command, cwd=pack.ROOT, capture_output=True, text=True, check=True).stdout
    return int(said.strip().splitlines()[-1])
