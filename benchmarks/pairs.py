"""Two ways of doing the same work, timed side by side."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any


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
