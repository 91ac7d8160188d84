"""What does one queue for many servers cost, how far does it go, and does it survive?

`-- fleet` asks all questions but the longest; `-- fleet engine`, `chaos`, `growth`, `kills`, `servers` asks one.
Stand-ins (tests/fleet/standin.py) take the place of ComfyUI except in `kills` and `servers`, which start two real ones
with one thread each. `growth` works 100,000 jobs through 200 stand-ins, which takes twenty minutes.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import requests

from .. import fleet
from ..fleet.jobs import Wishes
from ..fleet.local import servers_on_this_machine
from ..fleet.progress import Show
from ..fleet.run import Options, carry_out
from . import results

ROOT = Path(__file__).resolve().parent.parent
STAND_IN = ROOT / "tests" / "fleet" / "standin.py"
TOY = {
    "1": {"class_type": "StandIn", "inputs": {"seed": 0, "model": "toy"}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
}
OVERHEAD_LIMIT, SPEED_LIMIT, DEPTH_LIMIT = 5.0, 1.8, 2
SECONDS_AT_SERVER = 0.2


def main() -> None:
    """Answer the questions."""
    questions = {"engine": engine, "chaos": chaos, "kills": kills, "servers": servers, "growth": growth}
    chosen = sys.argv[1:] or ["engine", "chaos", "kills", "servers"]
    failed = [name for name in chosen if not questions[name]()]
    sys.exit(f"Over the limit: {', '.join(failed)}" if failed else 0)


def engine() -> bool:
    """Time added to 1,000 jobs on 20 servers, processor time, and memory."""
    jobs, count = 1000, 20
    with stand_ins(count, SECONDS_AT_SERVER) as urls:
        warm_up(urls)
        before = time.process_time()
        wall = timed(lambda: work(urls, jobs))
        processor = 1000 * (time.process_time() - before) / jobs
    added = 1000 * (wall - jobs * SECONDS_AT_SERVER / count) / jobs
    told = f"{added:.2f} ms (processor time {processor:.1f} ms)"
    results.write(
        "Fleet: time added to a job, 1,000 jobs on 20 stand-ins", told, f"at most {OVERHEAD_LIMIT:g} ms", on()
    )
    with stand_ins(count, 0) as urls:
        memory = [(work(urls, number), megabytes())[1] for number in (1000, 4000)]
    told = f"{memory[0]:.0f} MB after 1,000 jobs, {memory[1]:.0f} MB after 4,000 more"
    results.write("Fleet: memory", told, "", on())
    return added <= OVERHEAD_LIMIT


def chaos() -> bool:
    """1,000 jobs on 20 servers that misbehave, and how deep their queues got."""
    with stand_ins(20, 0.02, chaos=0.05) as urls:
        summary = work(urls, 1000)
        seen = [requests.post(f"{url}/stand-in", timeout=10).json() for url in urls]
    deepest = max(one["deepest"] for one in seen)
    wrong, crashes = sum(one["wrong"] for one in seen), sum(one["crashes"] for one in seen)
    told = f"{summary.done} done, {len(summary.failed)} failed, queue {deepest} ({wrong} faults, {crashes} crashes)"
    results.write("Fleet: 1,000 jobs on 20 stand-ins with chaos", told, f"1000 done, queue at most {DEPTH_LIMIT}", on())
    return summary.done == 1000 and not summary.failed and deepest <= DEPTH_LIMIT


def growth() -> bool:
    """Jobs in a second and memory, from few servers and jobs to many."""
    for count, jobs in ((20, 10_000), (200, 10_000), (200, 100_000)):
        with stand_ins(count, 0) as urls:
            wall = timed(lambda urls=urls, jobs=jobs: work(urls, jobs))
        told = f"{jobs / wall:.0f} jobs a second, {megabytes():.0f} MB"
        results.write(f"Fleet: {jobs:,} jobs on {count} stand-ins that answer at once", told, "", on())
    return True


def kills() -> bool:
    """Ten runs on two real servers, of which one is killed at a moment of chance."""
    whole = 0
    for seed in range(10):
        with real_servers(2) as (urls, processes), tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "out"
            threading.Thread(
                target=kill_at, args=[out, random.Random(seed).randint(1, 18), processes[seed % 2]]
            ).start()
            summary = fleet.run(toy_workflow(), out, urls, variations=24)
            whole += summary.done == len(list(out.glob("*.png"))) == 24 and not summary.failed
    results.write("Fleet: runs that lost nothing when one of two real servers was killed", f"{whole} of 10", "10", on())
    return whole == 10


def servers() -> bool:
    """Two real servers with one thread each against one of them, from the first result to the last."""
    ratios = []
    with real_servers(2) as (urls, _):
        for url in urls:
            pace([url], 2)  # each loads the toy
        for _ in range(3):
            ratios.append(pace(urls, 48) / pace(urls[:1], 24))
    ratio = sorted(ratios)[1]
    results.write(
        "Fleet: two servers against one, pictures in a minute", f"{ratio:.2f}", f"at least {SPEED_LIMIT}", on()
    )
    return ratio >= SPEED_LIMIT


def work(urls: Sequence[str], jobs: int) -> fleet.Summary:
    """Do so many different jobs."""
    with tempfile.TemporaryDirectory() as folder:
        return fleet.run(TOY, Path(folder) / "out", urls, grid={"seed": range(jobs)})


def warm_up(urls: Sequence[str]) -> None:
    """Have everything imported."""
    work(urls, len(urls))


def pace(urls: Sequence[str], count: int) -> float:
    """Results in a second, of variations that no server knows from before."""
    clock = Clock()
    values = {"VariationBatch.seed": random.randrange(2**32)}
    with tempfile.TemporaryDirectory() as folder:
        wishes = Wishes(variations=count)
        carry_out(Options(toy_workflow(), Path(folder) / "out", tuple(urls), wishes=wishes, set=values), clock)
    return (count - 1) / (clock.times[-1] - clock.times[0])


class Clock(Show):
    """Notes when each result came."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    def event(self, kind: str, **what: Any) -> None:
        """Note it."""
        if kind == "done":
            self.times.append(time.perf_counter())


def toy_workflow() -> dict[str, Any]:
    """Variations of the toy's drawing."""
    inputs = {
        "model": ["1", 0], "positive": ["2", 0], "negative": ["2", 0], "latent": ["3", 0], "count": 4, "strength": 0.6,
        "steps": 12, "cfg": 4.0, "sampler_name": "euler", "scheduler": "karras", "seed": 1, "variation": 1.0,
    }  # fmt: skip
    return {
        "1": {"class_type": "Img2ImgDemoCheckpoint", "inputs": {"family": "eps"}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "a blue house"}},
        "3": {"class_type": "VAEEncode", "inputs": {"pixels": ["1", 3], "vae": ["1", 2]}},
        "4": {"class_type": "VariationBatch", "inputs": inputs},
        "5": {"class_type": "VAEDecode", "inputs": {"samples": ["4", 0], "vae": ["1", 2]}},
        "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "fleet"}},
    }


def kill_at(out: Path, lines: int, process: subprocess.Popen[bytes]) -> None:
    """Kill a server as soon as so many jobs are done."""
    note = out / "run.jsonl"
    while not note.exists() or len(note.read_bytes().splitlines()) < lines:
        time.sleep(0.01)
    process.kill()


@contextlib.contextmanager
def stand_ins(count: int, seconds: float, chaos: float = 0.0) -> Iterator[list[str]]:
    """Addresses of stand-ins in a process of their own."""
    command = [sys.executable, STAND_IN, str(count), str(seconds), str(chaos), "1"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


@contextlib.contextmanager
def real_servers(count: int) -> Iterator[tuple[list[str], list[subprocess.Popen[bytes]]]]:
    """Addresses and processes of real servers, with a thread for each."""
    with servers_on_this_machine(count) as started:
        yield [one.url for one in started], [one.process for one in started]


def timed(act: Callable[[], Any]) -> float:
    """Seconds."""
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def megabytes() -> float:
    """Memory of this process."""
    return psutil.Process().memory_info().rss / 2**20


def on() -> str:
    """The machine."""
    return results.processor()
