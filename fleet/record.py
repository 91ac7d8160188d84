"""OUT/run.jsonl: one line for each finished job, which is what a run goes on from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout
from typing_extensions import Self

from .errors import FleetError
from .files import remove_parts, write_whole
from .index import Index
from .jobs import Job
from .work import Outcome, ServerFile

LINES, LOCK = "run.jsonl", "run.lock"


@dataclass(frozen=True)
class Saved:
    """A result in OUT."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Line:
    """A line of run.jsonl.

    job:      the key of the job
    name:     what its results are called
    files:    the results; empty where the job failed
    server:   who made them
    seconds:  how long that took there
    bits:     the letter of those servers that were found to make the same bits, where that was asked for
    versions: of that server
    report:   what the workflow's nodes said, JSON where it is JSON
    error:    what went wrong, where the job failed
    """

    job: str
    name: str
    files: tuple[Saved, ...] = ()
    server: str = ""
    seconds: float = 0.0
    bits: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    report: tuple[Any, ...] = ()
    error: str = ""
    at: str = ""


class Record:
    """What is done in an output folder. Use it as a context manager: nobody else can work in that folder meanwhile.

    resume: go on with what is there; without it, the folder must be empty

    raises: FleetError where the folder cannot be used
    """

    def __init__(self, folder: Path, resume: bool) -> None:
        self.folder = folder
        self.path = folder / LINES
        self.resume = resume
        self.places = Index[int]()  # job key -> where its line begins in the file
        self.names = Index[str]()  # job names in small letters -> job key
        self.owner = Index[str]()  # file names in small letters -> job key

    def __enter__(self) -> Self:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lock = FileLock(self.folder / LOCK, blocking=False)
            self.lock.acquire()
        except Timeout:
            raise FleetError(f"Another run works in {str(self.folder)!r}. Wait for it, or name another --out") from None
        except OSError as error:
            raise FleetError(f"{str(self.folder)!r} cannot be used for results ({error.strerror or error})") from error
        try:
            self._open()
        except BaseException:
            self.lock.release()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        empty = self.file.tell() == 0
        self.file.close()
        if empty:  # nothing was done, and the folder may be used again
            self.path.unlink()
        for index in (self.places, self.names, self.owner):
            index.close()
        self.lock.release()
        (self.folder / LOCK).unlink(missing_ok=True)

    def has(self, job: Job) -> bool:
        """True if the job is done, under that very name; FleetError where the name is another job's."""
        known = self.names.get(job.name.casefold())
        if known not in (None, job.key):
            raise FleetError(_taken(job.name, self.folder))
        return known is not None

    def same(self, job: Job) -> Line | None:
        """The line of a job with the same content under another name, such as a picture that is there twice."""
        begin = self.places.get(job.key)
        if begin is None:
            return None
        with self.path.open("rb") as file:
            file.seek(begin)
            return _line(json.loads(file.readline()))

    def copy(self, job: Job, line: Line) -> Line:
        """Save a finished job's results under another name."""
        files = tuple(ServerFile(Path(one.name).suffix, (self.folder / one.name).read_bytes()) for one in line.files)
        outcome = Outcome("done", line.server, "", files=files, seconds=line.seconds)
        return self.add(job, outcome, line.versions, line.bits, line.report)

    def add(
        self, job: Job, outcome: Outcome, versions: Mapping[str, str], bits: str = "", report: tuple[Any, ...] = ()
    ) -> Line:
        """Keep a job's results; returns the line that says so, which is written only once they are all there."""
        saved = []
        for place, file in enumerate(outcome.files, 1):
            number = f"_{place}" if len(outcome.files) > 1 else ""
            saved.append(self._save(f"{job.name}{number}{file.ending}", job, file.content))
        report = report or tuple(_plain(text) for text in outcome.texts)
        line = Line(
            job.key, job.name, tuple(saved), outcome.server, outcome.seconds, bits, dict(versions), report, at=_now()
        )
        self._keep(line, self._write(line))
        return line

    def add_failure(self, job: Job, server: str, error: str) -> None:
        """Note why a job could not be done; a later --resume tries it again."""
        self._write(Line(job.key, job.name, server=server, error=error, at=_now()))

    def _save(self, name: str, job: Job, content: bytes) -> Saved:
        if self.owner.get(name.casefold()) not in (None, job.key):
            raise FleetError(_taken(name, self.folder))
        self.owner[name.casefold()] = job.key
        write_whole(self.folder / name, content)
        return Saved(name, len(content), hashlib.sha256(content).hexdigest())

    def _write(self, line: Line) -> int:
        """Append a line; returns where it begins."""
        text = json.dumps({key: value for key, value in asdict(line).items() if value not in ("", (), {})})
        begin = self.file.tell()
        try:
            self.file.write(f"{text}\n".encode())
            self.file.flush()
        except OSError as error:
            raise FleetError(f"{str(self.path)!r} cannot be written ({error.strerror or error})") from error
        return begin

    def _open(self) -> None:
        others = [entry.name for entry in self.folder.iterdir() if entry.name != LOCK]
        if others and not self.resume:
            raise FleetError(
                f"{str(self.folder)!r} is not empty: it holds {', '.join(sorted(others)[:3])}. Name another --out, "
                "or go on with what is there with --resume"
            )
        remove_parts(self.folder)
        end = self._read() if self.path.exists() else 0
        self.file = self.path.open("ab")
        self.file.truncate(end)  # a line that was being written counts as none
        self.file.seek(end)

    def _read(self) -> int:
        """Take up what is done; returns where the last whole line ends, in bytes."""
        end = 0
        with self.path.open("rb") as file:
            for raw in file:
                try:
                    line = json.loads(raw)
                except ValueError:
                    line = None
                if not raw.endswith(b"\n") or not isinstance(line, dict):
                    break
                if line.get("files"):
                    self._take_up(_line(line), end)
                end += len(raw)
        return end

    def _take_up(self, line: Line, begin: int) -> None:
        """A job counts as done if its files are there, as long as they were."""
        if all(self._is_whole(file) for file in line.files):
            self._keep(line, begin)

    def _is_whole(self, file: Saved) -> bool:
        path = self.folder / file.name
        return path.parent == self.folder and path.is_file() and path.stat().st_size == file.bytes

    def _keep(self, line: Line, begin: int) -> None:
        self.places[line.job] = begin
        self.names[line.name.casefold()] = line.job
        for file in line.files:
            self.owner[file.name.casefold()] = line.job


def _line(said: Mapping[str, Any]) -> Line:
    """A line as it was written."""
    return Line(
        **{**said, "files": tuple(Saved(**one) for one in said["files"]), "report": tuple(said.get("report", ()))}
    )


def _taken(name: str, folder: Path) -> str:
    return (
        f"{name!r} in {str(folder)!r} was made with other settings. Name another --out for these, or move its files "
        "and its line in run.jsonl away"
    )


def _plain(text: str) -> Any:
    """A report as the object it is, any other text as it is."""
    try:
        return json.loads(text) if text.lstrip().startswith(("{", "[")) else text
    except ValueError:
        return text


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
