"""Run the same jobs on every server and compare what they made, bit by bit."""

from __future__ import annotations

import hashlib
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from io import BytesIO

from distributed import Future, wait
from PIL import Image, ImageSequence

from .engine import Engine, dask_key
from .files import PICTURES
from .jobs import Job
from .work import Outcome, ServerFile


def bits_of(file: ServerFile) -> str:
    """A hash of a result: of a picture its pixels, of anything else its bytes.

    A PNG's bytes depend on the library that packed them and on the notes in it, its pixels do not.
    """
    if file.ending in PICTURES:
        digest = hashlib.sha256()
        with Image.open(BytesIO(file.content)) as picture:
            for frame in ImageSequence.Iterator(picture):
                digest.update(f"{frame.mode} {frame.size}".encode())
                digest.update(frame.tobytes())
        return digest.hexdigest()
    return hashlib.sha256(file.content).hexdigest()


def compare(engine: Engine, jobs: Sequence[Job]) -> dict[str, str]:
    """Run jobs on every server that takes part, and give equal letters to servers that made equal bits.

    The results of the first letter, which is that of most servers, are kept as the jobs' results. A server that could
    not do all of them has the letter "?".

    returns: the letter of each server
    """
    servers = dict(engine.roster.fit)
    tasks = [engine.task(job) for job in jobs]
    futures: dict[tuple[str, str], Future] = {}
    for worker in servers:
        keyed = {dask_key(job, f"-{worker}"): task for job, task in zip(jobs, tasks, strict=True)}
        for job, future in zip(jobs, engine.pool.submit(keyed, only=[worker]), strict=True):
            futures[job.key, worker] = future
    with engine.pool.client.as_current():
        wait(list(futures.values()))
    outcomes = {place: future.result() for place, future in futures.items() if future.status == "finished"}
    letters = _letters(servers, jobs, outcomes)
    engine.roster.bits = letters
    for job in jobs:
        kept = next((outcomes[job.key, one] for one, name in servers.items() if letters[name] == "A"), None)
        if kept is not None and not engine.record.has(job):
            versions = engine.roster.versions.get(kept.server, {})
            engine.show.done(engine.record.add(job, kept, versions, "A"))
    return letters


def _letters(servers: dict[str, str], jobs: Sequence[Job], outcomes: dict[tuple[str, str], Outcome]) -> dict[str, str]:
    made: dict[str, tuple[str, ...] | None] = {}
    for worker, server in servers.items():
        mine = [outcomes.get((job.key, worker)) for job in jobs]
        whole = [one for one in mine if one is not None and one.kind == "done" and one.files]
        made[server] = tuple(bits_of(file) for one in whole for file in one.files) if len(whole) == len(mine) else None
    groups = Counter(bits for bits in made.values() if bits is not None)
    ranks = {bits: string.ascii_uppercase[min(place, 25)] for place, (bits, _) in enumerate(groups.most_common())}
    return {server: "?" if bits is None else ranks[bits] for server, bits in made.items()}


def in_words(letters: dict[str, str], versions: dict[str, dict[str, str]]) -> list[str]:
    """What the comparison found, a line for each thing worth saying."""
    groups = sorted(set(letters.values()) - {"?"})
    said = [f"{server} could not be compared: it did not do the jobs" for server in _of(letters, "?")]
    if len(groups) == 1:
        said.insert(0, f"Equal bits on {', '.join(_of(letters, groups[0]))}")
    if len(groups) > 1:
        said += [f"Bits {letter}: {', '.join(_of(letters, letter))}" for letter in groups]
        said += differences(versions)
    return said


def differences(versions: dict[str, dict[str, str]]) -> list[str]:
    """In words, in what servers differ: "torch: 2.1 on a; 2.2 on b"."""
    said = []
    for name in sorted({name for one in versions.values() for name in one}):
        values = {server: one.get(name, "") for server, one in versions.items()}
        if len(set(values.values())) > 1:
            parts = [f"{value} on {', '.join(_of(values, value))}" for value in sorted(set(values.values()))]
            said.append(f"{name} differs: {'; '.join(parts)}")
    return said


def _of(letters: dict[str, str], letter: str) -> Iterable[str]:
    return sorted(server for server, one in letters.items() if one == letter)
