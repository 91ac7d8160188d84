"""The Dask cluster of a run: a scheduler and a worker for each server in this process, or one that is there already."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import dask.config
from distributed import Client, Future, Scheduler
from distributed.utils import LoopRunner
from typing_extensions import Self

from . import work
from .errors import FleetError
from .needs import Needs
from .seats import Seat, Tell
from .server import is_loopback
from .work import RESOURCE, Admission, Task

LOOPBACK = "127.0.0.1:0"
SETTINGS = {
    "distributed.scheduler.allowed-failures": 1000,  # the engine counts itself, and says why
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
    "distributed.worker.profile.enabled": False,
    "distributed.admin.large-graph-warning-threshold": "1GB",
    "distributed.scheduler.events-cleanup-delay": "1m",
    "distributed.admin.low-level-log-length": 100,
    "distributed.admin.tick.interval": "1s",  # of each worker: at 200 of them the default takes half a core
    "distributed.admin.system-monitor.interval": "10s",
}


class Pool:
    """Servers as workers of a Dask cluster. Use it as a context manager.

    servers:   addresses of ComfyUI servers that this process talks to
    scheduler: address of a Dask cluster that is there already; None makes one that never leaves this process
    tell:      called with a server and a few words when it comes or goes
    wait:      seconds to wait for the scheduler
    """

    def __init__(self, servers: Sequence[str], scheduler: str | None, tell: Tell, wait: float = 30.0) -> None:
        self.servers = list(dict.fromkeys(servers))
        self.address = scheduler
        self.tell = tell
        self.wait = wait
        self.run = uuid.uuid4().hex[:12]
        self.resource = f"{RESOURCE}-{self.run}"

    @property
    def is_local(self) -> bool:
        """True if no worker can be on another machine."""
        return self.address is None

    def __enter__(self) -> Self:
        for name in ("distributed", "tornado"):
            logging.getLogger(name).setLevel(logging.CRITICAL)  # losses are told by the fleet, in its own words
        self._settings = dask.config.set(SETTINGS)
        self._loop = LoopRunner(asynchronous=False)
        self._loop.start()
        self._scheduler: Scheduler | None = None
        try:
            self._loop.run_sync(self._start)
            assert self.scheduler_address
            self.client: Any = Client(
                self.scheduler_address, loop=self._loop.loop, set_as_default=False, timeout=self.wait
            )
        except BaseException as error:
            self._leave()
            if isinstance(error, OSError | TimeoutError):
                raise FleetError(f"There is no Dask scheduler at {self.address!r}: {error}") from error
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with contextlib.suppress(Exception):
            self.client.close(timeout=5)
        self._leave()

    def workers(self) -> dict[str, str]:
        """The workers that stand for servers and take jobs: their addresses, with the servers' names."""
        found = self.client.scheduler_info(n_workers=-1)["workers"]
        return {
            address: str(worker["name"])
            for address, worker in found.items()
            if worker.get("resources", {}).get(RESOURCE) and worker.get("status", "running") == "running"
        }

    def busy(self) -> dict[str, tuple[str, ...]]:
        """The keys of the tasks that each worker has, by its address."""
        return {address: tuple(map(str, keys)) for address, keys in self.client.processing().items()}

    def submit(self, tasks: Mapping[str, Task], only: Sequence[str] = (), prefer: Sequence[str] = ()) -> list[Future]:
        """Have tasks done, each under its key: by any admitted worker, only by some, or by some if they are there."""
        return self.client.map(
            work.do, list(tasks.values()), key=list(tasks), resources={self.resource: 1}, pure=False,
            workers=list(only or prefer) or None, allow_other_workers=bool(prefer) and not only,
        )  # fmt: skip

    def gather(self, futures: Sequence[Future]) -> list[Any]:
        """The results of finished tasks; None for one that was lost with its worker."""
        try:
            return list(self.client.gather(list(futures)))
        except Exception:
            return [self._result(future) for future in futures]

    def _result(self, future: Future) -> Any:
        try:
            return future.result(timeout=5)
        except Exception:
            return None

    def admit(self, needs: Needs, workers: Sequence[str]) -> dict[str, Admission | BaseException]:
        """Let the run use those workers whose servers have what it needs."""
        return self._ask(work.admit, needs, self.resource, workers=workers)

    def dismiss(self, workers: Sequence[str]) -> None:
        """Use those workers no longer."""
        self._ask(work.dismiss, self.resource, workers=workers)

    def object_info(self, worker: str) -> dict[str, Any] | str | BaseException:
        """The nodes of a worker's server, or what went wrong."""
        return self._ask(work.object_info, workers=[worker])[worker]

    def cancel(self, futures: Sequence[Future]) -> None:
        """Take back everything of this run, from Dask and from the servers."""
        with contextlib.suppress(Exception):  # a cluster that is gone has nothing to take back
            self.client.cancel(list(futures))
        with contextlib.suppress(Exception):
            self._ask(work.cancel, self.run, workers=list(self.workers()))

    def _ask(self, function: Any, *arguments: Any, workers: Sequence[str]) -> dict[str, Any]:
        """Run a function of work.py on workers, all at once; a worker that goes meanwhile answers with its error."""
        if not workers:
            return {}
        return self.client.run(function, *arguments, workers=list(workers), on_error="return")

    async def _start(self) -> None:
        if self.address is None:
            self._scheduler = await Scheduler(protocol="inproc", dashboard=False, dashboard_address=LOOPBACK)
        self.scheduler_address = self.address or (self._scheduler.address if self._scheduler else "")
        host = urlsplit(self.address or "").hostname
        where = {"host": host} if host and is_loopback(host) else {}  # elsewhere, Dask finds the way out itself
        seats = [
            Seat(url, self.scheduler_address, self.tell, dashboard_address=LOOPBACK, **where) for url in self.servers
        ]
        self._seats = [asyncio.create_task(self._keep(seat)) for seat in seats]

    async def _keep(self, seat: Seat) -> None:
        try:
            await seat.keep()
        except Exception as error:  # such as a server that another worker of that cluster stands for already
            self.tell(seat.session.server.url, f"takes no part ({error})")

    async def _stop(self) -> None:
        seats = getattr(self, "_seats", [])
        for seat in seats:
            seat.cancel()
        await asyncio.gather(*seats, return_exceptions=True)
        if self._scheduler:
            await self._scheduler.close()

    def _leave(self) -> None:
        with contextlib.suppress(Exception):
            self._loop.run_sync(self._stop)
        self._loop.stop()
        self._settings.__exit__(None, None, None)
