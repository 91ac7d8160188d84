"""Who is there: the servers that a run may use, as they come and go."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from queue import Empty, SimpleQueue
from typing import Any

from .errors import FleetError, NoServerLeft
from .needs import Needs
from .pool import Pool
from .progress import Show
from .work import SLOTS, Admission

GLANCE = 0.5  # seconds between two looks
ASK_AGAIN = 3.0  # seconds until a server that gave no answer is asked again


class Roster:
    """The servers of a run.

    needs: what a server must have to take part
    wait:  seconds to wait for a server where there is none

    fit:      Dask workers whose servers take part, with the servers' names
    unfit:    servers that cannot take part, with what they lack
    versions: what the servers that took part said about themselves
    bits:     the letter of each server that was compared with the others; equal letters make equal bits
    """

    def __init__(self, pool: Pool, show: Show, needs: Needs, wait: float) -> None:
        self.pool, self.show, self.needs, self.wait = pool, show, needs, wait
        self.fit: dict[str, str] = {}
        self.unfit: dict[str, str] = {}
        self.versions: dict[str, dict[str, str]] = {}
        self.bits: dict[str, str] = {}
        self.refused: frozenset[str] = frozenset()
        self.only_known = False  # a server that comes later was not compared with the others
        self._asked: dict[str, float] = {}
        self._lost: set[str] = set()
        self._answers: SimpleQueue[tuple[str, Any]] = SimpleQueue()
        self._last_look = 0.0
        self._last_fit = time.monotonic()

    @property
    def slots(self) -> int:
        """How many jobs may be on their way: one running and one waiting at each server."""
        return SLOTS * len(self.fit)

    def assemble(self) -> None:
        """Wait until each server has said whether it takes part, or is found not to answer.

        raises: FleetError where none can take part, NoServerLeft where none answers in time
        """
        while True:
            self.look(at_once=True)
            heard = set(self.fit.values()) | self.unfit.keys() | self.show.absent
            if heard >= set(self.pool.servers) and not self._asked and self.fit:
                return
            self.check()
            time.sleep(0.05)

    def look(self, at_once: bool = False) -> None:
        """See who came and who went, every now and then, and ask those who came whether they can take part."""
        now = time.monotonic()
        self._hear()
        if not at_once and now - self._last_look < GLANCE:
            return
        self._last_look = now
        present = self.pool.workers()
        for worker in self.fit.keys() - present.keys():
            self.show.left(self.fit.pop(worker))
        self._lost &= present.keys()
        late = [worker for worker, asked in self._asked.items() if worker not in present or now - asked > 60]
        for worker in late:
            del self._asked[worker]
        new = [
            worker
            for worker, server in present.items()
            if worker not in self.fit.keys() | self._lost | self._asked.keys() and self._is_wanted(server)
        ]
        if new:
            self._asked |= dict.fromkeys(new, now)
            threading.Thread(target=self._ask, args=[new], daemon=True).start()
        if self.fit:
            self._last_fit = now

    def lose(self, worker: str) -> None:
        """A server was lost while it did a job."""
        self._lost.add(worker)
        server = self.fit.pop(worker, None)
        if server:
            self.show.left(server)

    def refuse(self, servers: Iterable[str]) -> None:
        """Use these servers no longer."""
        self.refused |= frozenset(servers)
        workers = [worker for worker, server in self.fit.items() if server in self.refused]
        self.pool.dismiss(workers)
        for worker in workers:
            self.show.left(self.fit.pop(worker))

    def check(self) -> None:
        """FleetError where no server can take part, NoServerLeft where none has been there for too long."""
        if self.fit:
            return
        expected = set(self.pool.servers) - self.refused
        if self.unfit and expected <= self.unfit.keys() and not self._asked:
            reasons = "; ".join(f"{server} lacks {what}" for server, what in self.unfit.items())
            raise FleetError(f"No server can run this workflow: {reasons}")
        if time.monotonic() - self._last_fit > self.wait:
            raise NoServerLeft(
                f"No server answers any more, for {self.wait:.0f} s. What is done is kept: start a server and run the "
                "same command with --resume"
            )

    def _is_wanted(self, server: str) -> bool:
        known = server in self.bits or not self.only_known
        return known and server not in self.refused and server not in self.unfit

    def _ask(self, workers: list[str]) -> None:
        try:
            for worker, answer in self.pool.admit(self.needs, workers).items():
                self._answers.put((worker, answer))
        except Exception as error:
            for worker in workers:
                self._answers.put((worker, error))

    def _hear(self) -> None:
        """Take in the answers of those who were asked; who did not answer properly is asked again later."""
        while True:
            try:
                worker, answer = self._answers.get_nowait()
            except Empty:
                return
            if not isinstance(answer, Admission) or answer.trouble:
                self._asked[worker] = time.monotonic() - 60 + ASK_AGAIN
                continue
            self._asked.pop(worker, None)
            if answer.lacks:
                self.unfit[answer.server] = ", ".join(answer.lacks)
                self.show.notice(f"{answer.server} takes no part: it lacks {self.unfit[answer.server]}")
            elif worker not in self._lost:
                self.fit[worker] = answer.server
                self.versions[answer.server] = answer.versions
                self._last_fit = time.monotonic()
                self.show.came(answer.server)
