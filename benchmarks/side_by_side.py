"""Copies of a benchmark at the same time, each in a process of its own, which works on one thread."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence

from ..dev import pack


def lines(module: str, copies: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, str]]:
    """What copies of a benchmark print, as it comes: pairs of a copy's name and a line.

    module: of this folder; copies: the command line of each copy, by a name for it
    Ends the program where a copy fails.
    """
    came: queue.Queue[tuple[str, str | None]] = queue.Queue()
    command = [sys.executable, "-m", "dev.pack", f"benchmarks.{module}"]
    running: dict[str, subprocess.Popen[str]] = {}
    for name, arguments in copies.items():
        running[name] = subprocess.Popen(
            [*command, *arguments], cwd=pack.ROOT, env=os.environ | {"PYTHONIOENCODING": "utf-8"},
            stdout=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip
        threading.Thread(target=_read, args=(name, running[name], came), daemon=True).start()
    for _ in running:
        while (one := came.get())[1] is not None:
            yield one[0], one[1]
    failed = [name for name, process in running.items() if process.wait()]
    if failed:
        sys.exit(f"{module} failed for {', '.join(failed)}.")


def _read(name: str, process: subprocess.Popen[str], came: queue.Queue[tuple[str, str | None]]) -> None:
    assert process.stdout
    for line in process.stdout:
        came.put((name, line))
    came.put((name, None))
