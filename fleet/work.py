"""The Dask side of a job: what runs in the worker that stands for one ComfyUI server."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from distributed import Status, Worker, WorkerPlugin, get_worker

from .errors import Canceled, Refused, ServerTrouble
from .needs import Needs, lacking
from .server import ComfyServer, Ended, Prompt

PLUGIN = "img2img-fleet"
RESOURCE = "comfy"  # what a worker has that stands for a server
SLOTS = 2  # prompts at a server: one runs, one waits
SHORTEST_PAUSE, LONGEST_PAUSE = 0.04, 1.0  # seconds between two looks at a running prompt
RECHECK = 5.0  # seconds after which a prompt that does not end is looked for in the queue
SERVERS_FAULT = ("no space left on device", "not enough space on the disk", "disk quota exceeded", "read-only file")


@dataclass(frozen=True)
class Upload:
    """A picture for a server's input folder.

    path:    where the client has it
    content: the picture itself, where the worker may be on another machine; else it is read from path
    """

    subfolder: str
    name: str
    path: str
    content: bytes | None = None

    def read(self) -> bytes:
        """The picture's bytes."""
        return Path(self.path).read_bytes() if self.content is None else self.content


@dataclass(frozen=True)
class Task:
    """A prompt to be run.

    run:     the id of the run it belongs to, by which it can be taken back
    uploads: the pictures it loads
    longest: seconds until it is given up
    """

    run: str
    prompt: Prompt
    uploads: tuple[Upload, ...]
    longest: float


@dataclass(frozen=True)
class ServerFile:
    """A result as the server wrote it; the ending is the server's, such as .png."""

    ending: str
    content: bytes


@dataclass(frozen=True)
class Outcome:
    """What became of a task.

    kind:    done; failed, for which the job is to blame; lost, for which the server is
    worker:  the address of the Dask worker, which changes when a server comes back
    words:   what the node or the server said, where it is not done
    began:   True if the prompt had been queued when the server was lost
    seconds: how long it ran on the server
    """

    kind: Literal["done", "failed", "lost"]
    server: str
    worker: str
    words: str = ""
    began: bool = False
    files: tuple[ServerFile, ...] = ()
    texts: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True)
class Admission:
    """What a server said when a run wanted to use it: its versions, what it lacks, or why it did not answer."""

    server: str
    versions: dict[str, str]
    lacks: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def admitted(self) -> bool:
        """True if the run may use it."""
        return not self.lacks and not self.trouble


class Session(WorkerPlugin):
    """A server as its worker sees it, through all of its losses and returns.

    on_lost: called in the event loop when the server has failed, so that its worker retires
    """

    name = PLUGIN

    def __init__(self, url: str, on_lost: Callable[[str], None]) -> None:
        self.server = ComfyServer(url)
        self.on_lost = on_lost
        self.gate = threading.Lock()  # one asks for room at a time
        self.uploading = threading.Lock()
        self.open: dict[str, str] = {}  # prompts that may still be at the server, with their runs
        self.uploaded: set[tuple[str, str]] = set()
        self.stopped: set[str] = set()  # runs
        self.lost = ""
        self.done = 0
        self.typical = 0.0  # seconds that the last prompt took

    def setup(self, worker: Worker) -> None:
        """Begin anew with a worker; Dask calls it."""
        self.worker = worker
        self.lost = ""

    def welcome(self) -> None:
        """After an absence: take back what was left there, and trust no earlier upload. Raises ServerTrouble."""
        self.server.cancel(list(self.open))
        self.open.clear()
        self.uploaded.clear()

    def do(self, task: Task) -> Outcome:
        """Run a task to its end."""
        said = Outcome("failed", self.server.url, self.worker.address)
        prompt_id = str(uuid.uuid4())
        try:
            self._check(task)
            for upload in task.uploads:
                self._upload(upload)
            self._queue(task, prompt_id)
            said = replace(said, began=True)
            ended = self._wait(task, prompt_id)
            self.open.pop(prompt_id, None)
            if ended.error:
                self._blame(ended.error)
                return replace(said, words=ended.error)
            files = tuple(ServerFile(_ending(place.filename), self.server.fetch(place)) for place in ended.saved)
            self.done += 1
            return replace(said, kind="done", files=files, texts=ended.texts, seconds=ended.seconds)
        except ServerTrouble as error:
            self._lose(str(error))
            return replace(said, kind="lost", words=self.lost)
        except (Refused, Canceled, OSError) as error:
            self.open.pop(prompt_id, None)
            return replace(said, words=str(error))

    def inspect(self, needs: Needs) -> Admission:
        """Whether the server can do a run."""
        try:
            versions = self.server.versions()
            return Admission(self.server.url, versions, tuple(lacking(needs, self.server.object_info())))
        except ServerTrouble as error:
            return Admission(self.server.url, {}, trouble=str(error))

    def cancel(self, run: str) -> None:
        """Take back every prompt of a run that is at the server; its tasks end by themselves then."""
        self.stopped.add(run)
        with contextlib.suppress(ServerTrouble):  # if it is not there, nothing of ours runs there
            self.server.cancel([prompt_id for prompt_id, its_run in list(self.open.items()) if its_run == run])

    def _upload(self, upload: Upload) -> None:
        place = (upload.subfolder, upload.name)
        with self.uploading:
            if place not in self.uploaded:
                self.server.upload(upload.read(), upload.name, upload.subfolder)
                self.uploaded.add(place)

    def _queue(self, task: Task, prompt_id: str) -> None:
        """Queue a prompt as soon as none of the fleet's waits there."""
        pause = SHORTEST_PAUSE
        with self.gate:
            while self.server.waiting():
                self._pause(task, pause)
                pause = min(LONGEST_PAUSE, pause * 1.5)
            self.open[prompt_id] = task.run
            self.server.queue(task.prompt, prompt_id)

    def _wait(self, task: Task, prompt_id: str) -> Ended:
        """Look until a prompt has ended, the more rarely the longer it takes."""
        began = checked = now = time.monotonic()
        pause = 0.7 * self.typical
        while True:
            # The next prompt waits at the server meanwhile, so a late look costs nothing.
            self._pause(task, min(LONGEST_PAUSE, max(SHORTEST_PAUSE, pause)))
            ended = self.server.ended(prompt_id)
            now = time.monotonic()
            if ended is not None:
                self.typical = now - began
                return ended
            pause = (now - began) / 5
            if now - checked > RECHECK:
                checked = now
                if not self.server.knows(prompt_id):
                    raise ServerTrouble(f"{self.server.url} has forgotten a prompt; it was probably restarted")
            if now - began > task.longest:
                raise ServerTrouble(f"{self.server.url} did not end a prompt within {task.longest:.0f} s (--longest)")

    def _pause(self, task: Task, seconds: float) -> None:
        time.sleep(seconds)
        self._check(task)

    def _check(self, task: Task) -> None:
        if task.run in self.stopped:
            raise Canceled("the run was stopped")
        if self.lost:
            raise ServerTrouble(self.lost)

    def _blame(self, error: str) -> None:
        """Some errors inside a graph are the machine's, and another one would do."""
        if any(sign in error.lower() for sign in SERVERS_FAULT):
            raise ServerTrouble(f"{self.server.url}: {error}")

    def _lose(self, words: str) -> None:
        """Have the worker retire, and wait until Dask sends it nothing more."""
        if not self.lost:
            self.lost = words
            self.worker.loop.add_callback(self.on_lost, words)
        end = time.monotonic() + 5
        while self.worker.status == Status.running and time.monotonic() < end:
            time.sleep(0.01)


def session_of(worker: Worker) -> Session:
    """The session of a worker that stands for a server."""
    session = worker.plugins[PLUGIN]
    assert isinstance(session, Session)
    return session


def do(task: Task) -> Outcome:
    """The task that Dask runs."""
    return session_of(get_worker()).do(task)


async def admit(needs: Needs, resource: str, dask_worker: Worker) -> Admission:
    """Give a worker the resource that a run's jobs ask for, if its server can do them."""
    session = session_of(dask_worker)
    admission = await asyncio.to_thread(session.inspect, needs)
    if admission.admitted:
        await dask_worker.set_resources(**{resource: SLOTS})
    return admission


async def dismiss(resource: str, dask_worker: Worker) -> None:
    """Take that resource away again."""
    await dask_worker.set_resources(**{resource: 0})


async def object_info(dask_worker: Worker) -> dict[str, Any] | str:
    """The nodes of a worker's server, or what went wrong."""
    try:
        return await asyncio.to_thread(session_of(dask_worker).server.object_info)
    except ServerTrouble as error:
        return str(error)


async def cancel(run: str, dask_worker: Worker) -> None:
    """Take back what a worker has queued at its server for a run."""
    await asyncio.to_thread(session_of(dask_worker).cancel, run)


def _ending(filename: str) -> str:
    """The ending of a file name, if it is a harmless one: the name is the server's to choose, and may be anything."""
    ending = PurePosixPath(filename.replace("\\", "/")).suffix
    return ending.lower() if ending[1:].isalnum() and ending.isascii() and len(ending) <= 9 else ".bin"
