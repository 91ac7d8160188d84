"""The command line: run, check and worker."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import checks
from .errors import FleetError
from .jobs import Wishes
from .local import started
from .progress import Lines, show_for
from .run import Options, carry_out
from .seats import Seat
from .server import tidy_url
from .workflow import read, split_values

INTERRUPTED = 130  # the exit code of what Ctrl-C ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0 all done, 1 some jobs failed, 2 wrong from the start, 3 no server left,
    130 stopped with Ctrl-C.
    """
    chosen = _parser().parse_args(arguments)
    try:
        return {"run": _run, "check": _check, "worker": _worker}[chosen.command](chosen)
    except FleetError as error:
        print(f"\n{error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\nStopped; what was under way at the servers is taken back. --resume goes on.", file=sys.stderr)
        return INTERRUPTED


def _run(chosen: argparse.Namespace) -> int:
    wishes = Wishes(chosen.folder, chosen.variations, _styles(chosen.styles), _grid(chosen.grid))
    options = Options(
        workflow=chosen.workflow, out=chosen.out, on=tuple(chosen.on), start=chosen.start, scheduler=chosen.scheduler,
        wishes=wishes, set=dict(map(_pair, chosen.set)), resume=chosen.resume, verify=chosen.verify,
        refuse=chosen.refuse, retries=chosen.retries, wait=chosen.wait, longest=chosen.longest,
    )  # fmt: skip
    summary = carry_out(options, show_for("json" if chosen.json else "quiet" if chosen.quiet else None))
    return 1 if summary.failed else 0


def _check(chosen: argparse.Namespace) -> int:
    workflow = read(chosen.workflow)[1] if chosen.workflow else None
    with started(chosen.start) as local:
        servers = [tidy_url(url) for url in chosen.on] + local
        if not servers:
            raise FleetError("Say which servers: --on with the address of a ComfyUI, or --start with a number")
        found = checks.check(servers, workflow)
    checks.show(found, chosen.json)
    return 1 if any(one.trouble or one.lacks for one in found) else 0


def _worker(chosen: argparse.Namespace) -> int:
    """Stand for servers in a Dask cluster until Ctrl-C."""
    show = Lines()

    async def serve(servers: list[str]) -> None:
        await asyncio.gather(*(Seat(url, chosen.scheduler, show.trouble).keep() for url in servers))

    with started(chosen.start) as local:
        servers = [tidy_url(url) for url in chosen.on] + local
        if not servers:
            raise FleetError("Say which servers: --on with the address of a ComfyUI, or --start with a number")
        print(f"Working for {chosen.scheduler} with {', '.join(servers)}; Ctrl-C ends it", flush=True)
        try:
            asyncio.run(serve(servers))
        except OSError as error:
            raise FleetError(f"There is no Dask scheduler at {chosen.scheduler!r}: {error}") from error
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fleet", description="Work one queue through every ComfyUI you have.")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="work a folder, variations or a grid through servers")
    run.add_argument(
        "workflow", help="a file from ComfyUI, or a workflow of the pack by its name, like 'A whole folder'"
    )
    run.add_argument("--out", type=Path, required=True, help="folder for the results; empty, or with --resume")
    run.add_argument("--scheduler", metavar="ADDRESS", help="a Dask cluster with workers that stand for servers")
    _add_cuts(run)
    _add_limits(run)
    check = commands.add_parser("check", help="what each server is, has and lacks, and what differs")
    check.add_argument("workflow", nargs="?", help="also say what a server lacks for this workflow")
    worker = commands.add_parser("worker", help="stand for servers in a Dask cluster, until Ctrl-C")
    worker.add_argument("--scheduler", metavar="ADDRESS", required=True, help="such as tcp://10.0.0.5:8786")
    for one in (run, check, worker):
        one.add_argument(
            "--on", nargs="+", action="extend", default=[], metavar="URL", help="ComfyUI servers that are there"
        )
        one.add_argument(
            "--start", type=_whole, default=0, metavar="N", help="start N servers here, one for each graphics card"
        )
    for one in (run, check):
        one.add_argument("--json", action="store_true", help="answer for programs")
    run.add_argument("--quiet", action="store_true", help="only what fails, and the end")
    return parser


def _add_cuts(run: argparse.ArgumentParser) -> None:
    run.add_argument("--folder", type=Path, metavar="IN", help="a folder of pictures, or one picture")
    run.add_argument(
        "--set", nargs="+", action="extend", default=[], metavar="INPUT=VALUE",
        help="strength=0.5, or StrengthScheduler.steps=20 where several nodes have such an input",
    )  # fmt: skip
    run.add_argument("--variations", type=_whole, default=0, metavar="N", help="for a workflow with Variation Batch")
    run.add_argument("--styles", type=Path, metavar="FILE", help="a style on each line, for one with Style Batch")
    run.add_argument(
        "--grid", nargs="*", metavar="INPUT=VALUES",
        help="strength=0.3,0.6 cfg=4,7; alone: every cell of the workflow's Strength Grid",
    )  # fmt: skip


def _add_limits(run: argparse.ArgumentParser) -> None:
    run.add_argument("--resume", action="store_true", help="go on with what is in OUT")
    run.add_argument(
        "--verify", type=_whole, default=0, metavar="N", help="compare the servers by N jobs that all of them do"
    )
    run.add_argument("--refuse", action="store_true", help="with --verify: use no server whose results differ")
    run.add_argument("--retries", type=_whole, default=2, metavar="N", help="after an error inside the graph (2)")
    run.add_argument("--wait", type=float, default=30.0, metavar="S", help="seconds to wait for a server (30)")
    run.add_argument("--longest", type=float, default=3600.0, metavar="S", help="seconds a job may take (3600)")


def _styles(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FleetError(f"--styles: {str(path)!r} cannot be read ({error})") from error
    styles = tuple(line.strip() for line in lines if line.strip())
    if not styles:
        raise FleetError(f"--styles: {str(path)!r} is empty; write one style on each line")
    return styles


def _grid(axes: Sequence[str] | None) -> dict[str, tuple[str, ...]] | None:
    if axes is None:
        return None
    pairs = [
        (name, values.splitlines() if name == "prompt" else split_values(values)) for name, values in map(_pair, axes)
    ]
    grid = {name: tuple(values) for name, values in pairs}
    empty = [name for name, values in grid.items() if not values]
    if empty:
        raise FleetError(f"--grid: {empty[0]} has no values; write {empty[0]}=0.3,0.6")
    return grid


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise FleetError(f"{text!r} is not understood; write INPUT=VALUE, like strength=0.5")
    return name.strip(), value


def _whole(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0")
    return number
