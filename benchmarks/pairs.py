"""Two ways of doing the same work, timed side by side."""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from . import results
from .memory import peak

Run = Callable[[], Any]


@dataclass(frozen=True)
class Comparison:
    """A comparison of two runs: its words in the table, the limits of the ratios, and where and how often it runs."""

    words: str
    time_limit: float
    memory_limit: float
    device: str
    pairs: int

    def holds(self, ours: Run, theirs: Run, larger: tuple[Run, Run]) -> bool:
        """Write the ratios of the times and of peak memory; True where both keep their limit.

        larger: the runs whose memory counts where there is no graphics card: on a picture that is larger than what the
                prompts take
        """
        gpu = self.device == "cuda"
        # Results lie on the CPU, so nothing is left running on the device when a run ends.
        ratio = median_ratio(ours, theirs, self.pairs, time.perf_counter if gpu else time.process_time)
        machine = torch.cuda.get_device_name() if gpu else results.processor()
        results.write(f"{self.words}, time", f"{ratio:.3f}", f"at most {self.time_limit}", machine)
        mine, stock = (peak(run, gpu) for run in ((ours, theirs) if gpu else larger))
        memory = mine / stock
        results.write(f"{self.words}, peak memory", f"{memory:.3f}", f"at most {self.memory_limit}", machine)
        return ratio <= self.time_limit and memory <= self.memory_limit


def asked(description: str | None) -> argparse.Namespace:
    """The command line of a comparison: `device` and `pairs`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--pairs", type=int, default=15)
    return parser.parse_args()


def median_ratio(
    ours: Callable[[], Any], theirs: Callable[[], Any], pairs: int, clock: Callable[[], float] = time.process_time
) -> float:
    """The median, over pairs of runs, of our time over theirs; which goes first alternates.

    clock: processor time by default, which a busy machine does not stretch
    """
    ratios = []
    for pair in range(pairs):
        seconds = {}
        for run in (ours, theirs) if pair % 2 else (theirs, ours):
            began = clock()
            run()
            seconds[run] = clock() - began
        ratios.append(seconds[ours] / seconds[theirs])
    return statistics.median(ratios)
