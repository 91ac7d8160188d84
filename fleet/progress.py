"""What a run says while it runs: a live table, plain lines, nothing but what is wrong, or JSON for programs."""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .record import Line

Mode = Literal["live", "lines", "quiet", "json"]
RECENT = 300.0  # seconds that the pace is taken from
LINES_APART = 15.0  # seconds between two plain lines of progress
KEPT_NOTICES = 6


@dataclass
class ServerState:
    """A server as it is shown. state: here, lost, absent or refused."""

    state: str = "absent"
    done: int = 0
    busy: int = 0
    seconds: float = 0.0
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=200))

    def per_minute(self, now: float) -> float:
        """Results in a minute, by those of the last few minutes."""
        times = [at for at in self.recent if now - at < RECENT]
        return 60 * (len(times) - 1) / (now - times[0]) if len(times) > 1 and now > times[0] else 0.0


class Show:
    """The numbers of a run, and the events that change them. It shows nothing itself: its children do."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.total = 0
        self.made = self.before = self.bad = 0
        self.servers: dict[str, ServerState] = {}
        self.absent: set[str] = set()

    def start(self, total: int) -> None:
        """The run begins: so many jobs are to be done."""
        self.total = total
        self.began = time.monotonic()
        self.event("start", jobs=total)

    def came(self, server: str) -> None:
        """A server takes part."""
        self.absent.discard(server)
        state = self.servers.setdefault(server, ServerState())
        if state.state == "lost":
            self.notice(f"{server} is back")
        state.state = "here"
        self.event("server", server=server, state="here")

    def left(self, server: str) -> None:
        """A server takes part no longer."""
        state = self.servers.setdefault(server, ServerState())
        state.state, state.busy = "lost", 0
        self.event("server", server=server, state="lost")

    def trouble(self, server: str, words: str) -> None:
        """A server does not answer, or not properly. Comes from another thread."""
        self.absent.add(server)
        self.servers.setdefault(server, ServerState())
        self.notice(f"{server}: {words}" if server not in words else words)

    def done(self, line: Line) -> None:
        """A job is done and saved."""
        state = self.servers.setdefault(line.server, ServerState())
        state.done += 1
        state.seconds += line.seconds
        state.recent.append(time.monotonic())
        self.made += 1
        self.event(
            "done", job=line.job, name=line.name, files=[file.name for file in line.files], server=line.server,
            seconds=line.seconds,
        )  # fmt: skip

    def skipped(self) -> None:
        """A job was done by an earlier run."""
        self.before += 1

    def failed(self, name: str, words: str) -> None:
        """A job could not be done."""
        self.bad += 1
        self.event("failed", name=name, error=words)

    def notice(self, words: str) -> None:
        """Something worth a line."""
        self.event("notice", text=words)

    def tick(self, busy: Mapping[str, int]) -> None:
        """A second has passed. busy: how many jobs are at each server."""
        for server, state in self.servers.items():
            state.busy = busy.get(server, 0)

    def finish(self) -> None:
        """The run is over."""

    def event(self, kind: str, **what: Any) -> None:
        """Something happened."""

    def per_minute(self) -> float:
        """Results in a minute, of all servers together."""
        now = time.monotonic()
        return sum(state.per_minute(now) for state in self.servers.values() if state.state == "here")

    def time_left(self) -> str:
        """How long the rest takes at this pace, in words."""
        pace, rest = self.per_minute(), self.total - self.made - self.before - self.bad
        return _duration(60 * rest / pace) if pace and rest > 0 else "–"

    def summary(self) -> str:
        """The run in one line."""
        parts = [f"{self.made} of {self.total} done"]
        parts += [f"{self.before} were there before"] if self.before else []
        parts += [f"{self.bad} failed"] if self.bad else []
        return ", ".join(parts)


class Lines(Show):
    """Plain lines, for a log. quiet: only what is wrong, and the end."""

    def __init__(self, quiet: bool = False) -> None:
        super().__init__()
        self.quiet = quiet
        self.last = 0.0

    def event(self, kind: str, **what: Any) -> None:
        """Say what is worth a line."""
        if kind == "failed":
            print(_plain(f"Failed: {what['name']}: {what['error']}"), file=sys.stderr, flush=True)
        elif kind == "notice" and not self.quiet:
            print(_plain(what["text"]), file=sys.stderr, flush=True)

    def tick(self, busy: Mapping[str, int]) -> None:
        """A line every now and then."""
        super().tick(busy)
        now = time.monotonic()
        if not self.quiet and now - self.last > LINES_APART:
            self.last = now
            here = sum(state.state == "here" for state in self.servers.values())
            print(
                f"{self.summary()}; {here} servers, {self.per_minute():.1f} per minute, {self.time_left()} left",
                flush=True,
            )

    def finish(self) -> None:
        """The last line."""
        print(self.summary(), flush=True)


class Json(Show):
    """One JSON object on each line of the standard output."""

    def event(self, kind: str, **what: Any) -> None:
        """Write the event."""
        print(json.dumps({"event": kind, **what}), flush=True)

    def tick(self, busy: Mapping[str, int]) -> None:
        """Write how far it is."""
        super().tick(busy)
        servers = {name: {"state": one.state, "done": one.done, "busy": one.busy} for name, one in self.servers.items()}
        self.event(
            "progress", done=self.made, before=self.before, failed=self.bad, total=self.total,
            per_minute=round(self.per_minute(), 2), servers=servers,
        )  # fmt: skip

    def finish(self) -> None:
        """Write the end."""
        self.event("end", done=self.made, before=self.before, failed=self.bad, total=self.total)


class LiveTable(Show):
    """A table that stays in its place, for a terminal."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self.console = console or Console()
        self.notices: deque[str] = deque(maxlen=KEPT_NOTICES)
        self.live = Live(console=self.console, get_renderable=self.picture, refresh_per_second=4)

    def start(self, total: int) -> None:
        """Begin to show."""
        super().start(total)
        self.live.start()

    def event(self, kind: str, **what: Any) -> None:
        """Note what is worth a line; what is wrong stays on the screen above the table."""
        if kind == "failed":
            self.console.print(Text(_plain(f"Failed: {what['name']}: {what['error']}"), style="red"))
        elif kind == "notice" and self.live.is_started:
            self.notices.append(_plain(what["text"]))
        elif kind == "notice":
            self.console.print(Text(_plain(what["text"]), style="yellow"))

    def finish(self) -> None:
        """Leave the last picture where it is."""
        self.live.stop()

    def picture(self) -> Group:
        """The table as it stands now."""
        now = time.monotonic()
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("server", "", "done", "at work", "per minute"):
            table.add_column(name, justify="left" if name in ("server", "") else "right")
        colors = {"here": "green", "lost": "red", "absent": "yellow"}
        for name, one in sorted(self.servers.items()):
            state = Text(one.state, style=colors.get(one.state, ""))
            pace = f"{one.per_minute(now):.1f}" if one.state == "here" else "–"
            table.add_row(escape(_plain(name)), state, str(one.done), str(one.busy), pace)
        finished = self.made + self.before + self.bad
        bar = ProgressBar(total=max(1, self.total), completed=finished, width=40)
        words = f"{self.summary()}   {self.per_minute():.1f} per minute   {self.time_left()} left"
        return Group(table, "", Padding(bar), Text(words), *(Text(words, style="yellow") for words in self.notices))


def show_for(mode: Mode | None) -> Show:
    """The way of showing that was asked for, or that fits where it is shown."""
    if mode is None:
        mode = "live" if sys.stdout.isatty() else "lines"
    return {"live": LiveTable, "lines": Lines, "quiet": lambda: Lines(quiet=True), "json": Json}[mode]()


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s" if minutes else f"{seconds} s"


def _plain(text: str) -> str:
    """A server's words without what would steer the terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "\ufffd" for sign in text)
