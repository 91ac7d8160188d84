"""The picture of the progress in fleet/README.md: a run on stand-ins, of which one is lost, as a terminal shows it.

`python -m dev.pack benchmarks.fleet_picture` writes fleet/progress.svg.
"""

from __future__ import annotations

import io
import re
import tempfile
import threading
from pathlib import Path

import psutil
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console

from ..fleet.jobs import Wishes
from ..fleet.progress import LiveTable
from ..fleet.run import Options, carry_out
from .fleet import ROOT, TOY, stand_ins

NAMES = ("http://127.0.0.1:8188", "http://127.0.0.1:8189", "https://gpu-1.example", "https://gpu-2.example")
JOBS, MOMENT = 500, 12.0  # seconds after the start


class Camera(LiveTable):
    """Takes its picture once, in the middle of the run, and calls the servers by readable names."""

    def __init__(self, urls: list[str]) -> None:
        super().__init__(Console(file=io.StringIO(), force_terminal=True, width=104))
        self.names = dict(zip(urls, NAMES, strict=True))

    def shoot(self) -> None:
        """Write the picture."""
        console = Console(record=True, file=io.StringIO(), width=104)
        servers, self.servers = self.servers, {self.names[url]: one for url, one in self.servers.items()}
        self.notices = type(self.notices)(self._renamed(words) for words in self.notices)
        console.print(
            '$ python -m fleet run "A whole folder" --folder products --out painted --on', *NAMES, highlight=False
        )
        console.print()
        console.print(self.picture())
        self.servers = servers
        plain = re.sub(r"@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)  # nothing from elsewhere
        svg = console.export_svg(title="fleet", code_format=plain.replace("Fira Code", "Menlo, Consolas"))
        (ROOT / "fleet" / "progress.svg").write_text(svg + "\n", encoding="utf-8")

    def _renamed(self, words: str) -> str:
        for url, name in self.names.items():
            words = words.replace(url, name)
        return words


def main() -> None:
    """Run, lose a server, take the picture."""
    with stand_ins(3, 0.12) as urls, stand_ins(1, 0.1) as (lost,), tempfile.TemporaryDirectory() as folder:
        camera = Camera([*urls, lost])
        timers = [threading.Timer(MOMENT, camera.shoot), threading.Timer(MOMENT / 2, _kill, [lost])]
        for timer in timers:
            timer.start()
        wishes = Wishes(grid={"seed": tuple(map(str, range(JOBS)))})
        carry_out(Options(TOY, Path(folder) / "out", (*urls, lost), wishes=wishes), camera)


def _kill(url: str) -> None:
    """End the stand-in at an address."""
    port = url.rpartition(":")[2]
    for process in psutil.Process().children():
        if any(str(one.laddr.port) == port for one in process.net_connections() if one.laddr):
            process.kill()
