"""The loop of a run: hand out jobs, take in results, and lose nothing when a server is lost."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from queue import Empty, SimpleQueue

from distributed import Future

from .errors import FleetError
from .jobs import Job
from .pool import Pool
from .progress import Show
from .record import Record
from .roster import Roster
from .work import Outcome, Task

MOST_LOSSES = 5  # servers that may be lost while they run one and the same job
NAP = 0.2  # seconds between two turns where nothing happens
GLANCE = 1.0  # seconds between two looks at what is where
MOST_IDLE = 2  # glances at which a job may be found at no worker


@dataclass(eq=False)
class Errand:
    """A job on its way, with those that are the same under other names."""

    job: Job
    twins: list[Job] = field(default_factory=list)
    attempts: int = 0
    failures: int = 0
    losses: int = 0
    idle: int = 0
    failed_at: set[str] = field(default_factory=set)


class Engine:
    """Works jobs through a pool into a record.

    retries: how often a job is tried again after an error of its own
    longest: seconds a job may take at a server
    """

    def __init__(
        self, pool: Pool, roster: Roster, record: Record, show: Show, retries: int = 2, longest: float = 3600.0
    ) -> None:
        self.pool, self.roster, self.record, self.show = pool, roster, record, show
        self.retries, self.longest = retries, longest
        self.failed: list[tuple[str, str]] = []
        self._finished: SimpleQueue[Future] = SimpleQueue()
        self._on_their_way: dict[str, tuple[Future, Errand]] = {}  # by Dask's key
        self._errands: dict[str, Errand] = {}  # by job key
        self._again: deque[Errand] = deque()
        self._last_glance = 0.0

    def work(self, jobs: Iterable[Job]) -> None:
        """Do all jobs; those that fail are listed in `failed`. Raises FleetError where the run cannot go on."""
        source = iter(jobs)
        try:
            self._hand_out(source)
            while self._errands:
                self.roster.check()
                self._take_in()
                self.roster.look()
                self._look_after()
                self._hand_out(source)
        except BaseException:
            self.pool.cancel([future for future, _ in self._on_their_way.values()])
            raise

    def task(self, job: Job) -> Task:
        """The job as it is sent; pictures travel with it where a worker may be on another machine."""
        uploads = job.uploads
        if not self.pool.is_local:
            uploads = tuple(replace(one, content=Path(one.path).read_bytes()) for one in uploads)
        return Task(self.pool.run, job.prompt, uploads, self.longest)

    def _hand_out(self, source: Iterator[Job]) -> None:
        """Have no more on its way than the servers can run and keep waiting."""
        chosen: list[Errand] = []
        while True:
            if not self._again:
                errand = self._next(source)
                if errand is None:
                    break
                self._again.append(errand)
            if len(self._on_their_way) + len(chosen) >= self.roster.slots:
                break
            chosen.append(self._again.popleft())
        fresh = [errand for errand in chosen if not errand.failed_at]
        for errands in (fresh, *([errand] for errand in chosen if errand.failed_at)):
            self._send(errands)

    def _look_after(self) -> None:
        """Show what goes on, and send anew what no worker has: Dask does not see that a server was admitted later."""
        now = time.monotonic()
        if now - self._last_glance < GLANCE:
            return
        self._last_glance = now
        busy = self.pool.busy()
        at_work = {key for keys in busy.values() for key in keys}
        self.show.tick({self.roster.fit.get(worker, ""): len(keys) for worker, keys in busy.items()})
        for key, (future, errand) in list(self._on_their_way.items()):
            idle = future.status == "pending" and key not in at_work
            errand.idle = errand.idle + 1 if idle and self.roster.fit else 0
            if errand.idle > MOST_IDLE:
                del self._on_their_way[key]
                future.cancel()
                errand.idle = 0
                self._again.append(errand)

    def _next(self, source: Iterator[Job]) -> Errand | None:
        """The next job that is to be done, and that no other one does already."""
        for job in source:
            if job.fault:
                self._give_up(Errand(job), "", job.fault)
            elif self.record.has(job):
                self.show.skipped()
            elif job.key in self._errands:
                self._errands[job.key].twins.append(job)
            elif (line := self.record.same(job)) is not None:
                self.show.done(self.record.copy(job, line))
            else:
                self._errands[job.key] = Errand(job)
                return self._errands[job.key]
        return None

    def _send(self, errands: Sequence[Errand]) -> None:
        """Hand jobs to Dask, together because that is quicker; after an error, to another server if there is one."""
        if not errands:
            return
        others = self.roster.fit.keys() - errands[0].failed_at if errands[0].failed_at else ()
        keys = [dask_key(one.job, f"-{one.attempts}" if one.attempts else "") for one in errands]
        tasks = {key: self.task(one.job) for key, one in zip(keys, errands, strict=True)}
        for errand, future in zip(errands, self.pool.submit(tasks, prefer=sorted(others)), strict=True):
            errand.attempts += 1
            self._on_their_way[str(future.key)] = (future, errand)
            future.add_done_callback(self._finished.put)

    def _take_in(self) -> None:
        """Wait for results, and take in all that are there."""
        futures = _all_of(self._finished)
        if not futures:
            return
        ready = [future for future in futures if future.status == "finished"]
        outcomes = dict(zip([future.key for future in ready], self.pool.gather(ready), strict=True))
        for future in futures:
            if future.key not in self._on_their_way:
                continue  # it was sent anew meanwhile
            _, errand = self._on_their_way.pop(future.key)
            outcome = outcomes.get(future.key)
            if isinstance(outcome, Outcome):
                self._settle(errand, outcome)
            elif future.status == "error":
                self._retry(errand, "", f"Dask could not run it: {future.exception()!r}")
            else:
                self._again.append(errand)  # its worker went before the result was fetched

    def _settle(self, errand: Errand, outcome: Outcome) -> None:
        if outcome.kind == "done":
            self._keep(errand, outcome)
        elif outcome.kind == "failed":
            errand.failed_at.add(outcome.worker)
            self._retry(errand, outcome.server, outcome.words)
        else:
            self.roster.lose(outcome.worker)
            errand.losses += outcome.began
            if errand.losses < MOST_LOSSES:
                self._again.appendleft(errand)
            else:
                self._give_up(errand, outcome.server, f"{MOST_LOSSES} servers were lost with it; {outcome.words}")

    def _keep(self, errand: Errand, outcome: Outcome) -> None:
        if not outcome.files:
            raise FleetError(
                f"{errand.job.name!r} ran on {outcome.server} and saved nothing. Check the workflow's Save Image node."
            )
        del self._errands[errand.job.key]
        versions = self.roster.versions.get(outcome.server, {})
        bits = self.roster.bits.get(outcome.server, "?") if self.roster.bits else ""
        for job in (errand.job, *errand.twins):
            self.show.done(self.record.add(job, outcome, versions, bits))

    def _retry(self, errand: Errand, server: str, words: str) -> None:
        errand.failures += 1
        if errand.failures > self.retries:
            self._give_up(errand, server, words)
            return
        self.show.notice(f"{errand.job.name}: {words} (on {server}; try {errand.failures} of {self.retries} follows)")
        self._again.append(errand)

    def _give_up(self, errand: Errand, server: str, words: str) -> None:
        self._errands.pop(errand.job.key, None)
        for job in (errand.job, *errand.twins):
            self.record.add_failure(job, server, words)
            self.failed.append((job.name, words))
            self.show.failed(job.name, words)


def dask_key(job: Job, more: str = "") -> str:
    """The job's key under the name that Dask learns from: how long jobs take, and that they belong together."""
    return f"job-{job.key}{more}"


def _all_of(queue: SimpleQueue[Future]) -> Sequence[Future]:
    """What is in the queue, after a short wait for the first."""
    found: list[Future] = []
    try:
        found.append(queue.get(timeout=NAP))
        while True:
            found.append(queue.get_nowait())
    except Empty:
        return found
