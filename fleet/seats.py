"""One Dask worker for each ComfyUI server: it comes when the server answers, and goes when the server is lost."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable
from typing import Any

from distributed import Worker

from .errors import ServerTrouble
from .work import RESOURCE, SLOTS, Session

FIRST_REST, LONGEST_REST = 0.5, 30.0  # seconds a failing server is left alone, doubled each time
FLUSH = 5.0  # seconds a retiring worker waits for its last results to be fetched

Tell = Callable[[str, str], None]


class Seat:
    """A server's place in a Dask cluster.

    scheduler: the address of the cluster's scheduler
    tell:      called with the server and a few words when it comes or goes
    settings:  more for Dask's Worker, such as the address it listens on
    """

    def __init__(self, url: str, scheduler: str, tell: Tell, **settings: Any) -> None:
        self.session = Session(url, self._on_lost)
        self.scheduler = scheduler
        self.tell = tell
        self.settings = settings
        self._lost = asyncio.Event()

    async def keep(self) -> None:
        """Serve for as long as this is awaited; cancel it to leave."""
        rest = FIRST_REST
        while True:
            await self._until_it_answers()
            before = self.session.done
            await self._serve()
            rest = FIRST_REST if self.session.done > before else min(LONGEST_REST, rest * 2)
            await asyncio.sleep(rest)

    async def _until_it_answers(self) -> None:
        """Ask every now and then; take back what an earlier absence left there."""
        pause, told = FIRST_REST, False
        while True:
            if await asyncio.to_thread(self.session.server.alive):
                with contextlib.suppress(ServerTrouble):
                    await asyncio.to_thread(self.session.welcome)
                    return
            if not told:
                self.tell(self.session.server.url, "does not answer")
                told = True
            await asyncio.sleep(pause)
            pause = min(2.0, pause * 1.5)

    async def _serve(self) -> None:
        """Be a worker of the cluster until the server is lost."""
        self._lost.clear()
        url = self.session.server.url
        with tempfile.TemporaryDirectory(prefix="fleet-", ignore_cleanup_errors=True) as scratch:
            async with Worker(
                self.scheduler, name=url, nthreads=SLOTS, resources={RESOURCE: SLOTS}, plugins=(self.session,),
                memory_limit=0, local_directory=scratch, **self.settings,
            ) as worker:  # fmt: skip
                lost = asyncio.create_task(self._lost.wait())
                ended = asyncio.create_task(worker.finished())
                await asyncio.wait([lost, ended], return_when=asyncio.FIRST_COMPLETED)
                if lost.done():
                    await _retire(worker)
                lost.cancel()
                ended.cancel()

    def _on_lost(self, words: str) -> None:
        self.tell(self.session.server.url, words)
        self._lost.set()


async def _retire(worker: Worker) -> None:
    """Leave in good order: nothing new comes, what is finished is fetched, and the rest is done elsewhere."""
    leave = {"workers": [worker.address], "close_workers": False}
    await worker.scheduler.retire_workers(**leave, remove=False)
    end = time.monotonic() + FLUSH
    while (worker.state.executing or worker.data) and time.monotonic() < end:
        await asyncio.sleep(0.01)
    await worker.scheduler.retire_workers(**leave, remove=True)
