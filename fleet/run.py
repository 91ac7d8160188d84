"""A run from the workflow to the results, as a Python function."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import verify as verification
from .engine import Engine
from .errors import FleetError
from .files import pictures_in
from .jobs import Plan, Wishes
from .local import started
from .needs import needs_of
from .pool import Pool
from .progress import Mode, Show, show_for
from .record import Record
from .roster import GLANCE, Roster
from .server import tidy_url
from .workflow import check_saves, read, to_prompt, with_reports, with_values


@dataclass(frozen=True)
class Summary:
    """What came of a run.

    done, before: how many jobs this run did, and how many an earlier one had done
    failed:       (name, what went wrong) of each job that could not be done
    servers:      how many jobs each server did
    bits:         the letter of each server, where results were compared; equal letters made equal bits
    """

    done: int
    before: int
    failed: tuple[tuple[str, str], ...]
    servers: Mapping[str, int]
    bits: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Options:
    """Everything a run can be asked for; `run` says what each one means."""

    workflow: str | Path | Mapping[str, Any]
    out: Path
    on: tuple[str, ...] = ()
    start: int = 0
    scheduler: str | None = None
    wishes: Wishes = field(default_factory=Wishes)
    set: Mapping[str, Any] = field(default_factory=dict)
    resume: bool = False
    verify: int = 0
    refuse: bool = False
    retries: int = 2
    wait: float = 30.0
    longest: float = 3600.0


def run(
    workflow: str | Path | Mapping[str, Any],
    out: str | Path,
    on: Sequence[str] = (),
    *,
    start: int = 0,
    scheduler: str | None = None,
    folder: str | Path | None = None,
    variations: int = 0,
    styles: Sequence[str] = (),
    grid: Mapping[str, Sequence[Any]] | None = None,
    set: Mapping[str, Any] | None = None,
    resume: bool = False,
    verify: int = 0,
    refuse: bool = False,
    retries: int = 2,
    wait: float = 30.0,
    longest: float = 3600.0,
    show: Mode = "quiet",
) -> Summary:
    """Work a workflow through every ComfyUI you have, and get the very files that one of them would have made.

    workflow:   a file that ComfyUI saved or exported, the name of one that comes with the pack, or its content
    out:        folder for the results and run.jsonl; it must be empty, or `resume` must be True
    on:         addresses of ComfyUI servers, such as "http://127.0.0.1:8188"
    start:      how many ComfyUI servers to start on this machine beside those, one for each graphics card
    scheduler:  address of a Dask cluster whose workers stand for servers (see `fleet worker`), such as "tcp://a:8786"
    folder:     pictures, each a job of its own; or one picture
    variations: how many variations, each a job of its own, where the workflow has a Variation Batch; 0: as it is
    styles:     one job for each, where the workflow has a Style Batch
    grid:       {} makes a job of each cell of the workflow's Strength Grid; {"strength": [0.3, 0.6], "cfg": [4, 7]}
                names the cells. A workflow without Strength Grid has these inputs set, in every combination
    set:        values of inputs, such as {"strength": 0.5} or {"StrengthScheduler.steps": 20}
    resume:     go on with what is in `out`
    verify:     how many jobs to run on every server first, to compare what they make; 0: none
    refuse:     use only those servers that made the same bits as most; without it, run.jsonl says who made what
    retries:    how often a job is tried again after an error inside the graph, 0 or more
    wait:       seconds to wait for a server where none is left
    longest:    seconds a job may take at a server
    show:       "quiet", "live" (a table), "lines" or "json"

    raises: FleetError, whose message names the thing, the value and the way out. A job that fails does not raise:
            it is in the summary
    """
    wishes = Wishes(
        Path(folder) if folder is not None else None,
        variations,
        tuple(styles),
        None if grid is None else {name: tuple(map(str, values)) for name, values in grid.items()},
    )
    options = Options(
        workflow, Path(out), tuple(on), start, scheduler, wishes, set or {}, resume, verify, refuse, retries, wait,
        longest,
    )  # fmt: skip
    return carry_out(options, show_for(show))


def carry_out(options: Options, show: Show) -> Summary:
    """Do a run. What can be known to be wrong is said before anything is started."""
    name, workflow = _workflow(options.workflow)
    servers = [tidy_url(url) for url in options.on]
    if not servers and not options.start and not options.scheduler:
        raise FleetError("Say where to run: --on with the address of a ComfyUI, --start with a number, or --scheduler")
    if options.wishes.folder:
        pictures_in(options.wishes.folder)
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        record = stack.enter_context(Record(options.out, options.resume))
        servers += stack.enter_context(started(options.start))
        pool = stack.enter_context(Pool(servers, options.scheduler, show.trouble, options.wait))
        stack.callback(show.finish)
        object_info = _object_info(pool, options.wait)
        prompt = with_values(to_prompt(workflow, object_info), options.set)
        check_saves(prompt, object_info)
        prompt = with_reports(prompt, object_info)
        plan = Plan(name, prompt, options.wishes)
        roster = Roster(pool, show, needs_of(prompt), options.wait)
        roster.assemble()
        show.start(len(plan))
        engine = Engine(pool, roster, record, show, options.retries, options.longest)
        if options.verify:
            _verify(engine, plan, options)
        elif differing := verification.differences(roster.versions):
            show.notice(f"These servers may make different bits; --verify 2 finds out. {'. '.join(differing)}")
        engine.work(plan)
    counts = {server: state.done for server, state in show.servers.items() if server}
    return Summary(
        show.made, show.before, tuple(engine.failed), counts, dict(roster.bits), round(time.monotonic() - began, 3)
    )


def _verify(engine: Engine, plan: Plan, options: Options) -> None:
    """Compare the servers, say what was found, and refuse those that differ if that was asked for."""
    jobs = (job for job in plan if not job.fault and not engine.record.has(job))
    chosen = list(itertools.islice(jobs, options.verify))
    if not chosen:
        return
    letters = verification.compare(engine, chosen)
    for words in verification.in_words(letters, engine.roster.versions):
        engine.show.notice(words)
    if options.refuse:
        engine.roster.refuse(server for server, letter in letters.items() if letter != "A")
        engine.roster.only_known = True


def _workflow(workflow: str | Path | Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    return ("result", dict(workflow)) if isinstance(workflow, Mapping) else read(workflow)


def _object_info(pool: Pool, wait: float) -> dict[str, Any]:
    """The nodes of the first server that says which it has."""
    end = time.monotonic() + wait
    said = ""
    while time.monotonic() < end:
        for worker in pool.workers():
            answer = pool.object_info(worker)
            if isinstance(answer, dict):
                return answer
            said = f" The last one said: {answer}"
        time.sleep(min(GLANCE, 0.1))
    names = ", ".join(pool.servers) or f"the workers of {pool.address}"
    raise FleetError(f"No ComfyUI answers within {wait:.0f} s: {names}. Start one there, or check the address.{said}")
