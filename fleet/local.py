"""ComfyUI servers on this machine, one for each graphics card, for as long as a run lasts."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from .errors import FleetError
from .server import ComfyServer

LONGEST_START = 300.0  # seconds; a first start on a cold disk took 40
PACK = Path(__file__).resolve().parent.parent
ACCELERATORS = (
    "import torch as t; x = getattr(t, 'xpu', None);"
    "print(t.cuda.device_count() or (x.device_count() if x else 0) or int(t.backends.mps.is_available()))"
)


@contextlib.contextmanager
def started(count: int) -> Iterator[list[str]]:
    """The addresses of so many new servers; they end with the context."""
    with servers_on_this_machine(count) as servers:
        yield [server.url for server in servers]


@contextlib.contextmanager
def servers_on_this_machine(count: int) -> Iterator[list[LocalServer]]:
    """So many new servers, each on a graphics card of its own where there is one; then end them.

    raises: FleetError where there is no ComfyUI, there are fewer cards than servers, or one does not start
    """
    if count <= 0:
        yield []
        return
    comfyui = find_comfyui()
    python = python_of(comfyui)
    cards = int(_output(python, ACCELERATORS))
    if cards and count > cards:
        raise FleetError(f"--start {count}: this machine has {cards} graphics cards, and a server needs one of its own")
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(_started(comfyui, python, place, count, cards)) for place in range(count)]
        for server in servers:
            server.wait_until_ready()
        yield servers


def find_comfyui() -> Path:
    """The ComfyUI this pack lies in, or the one that COMFYUI_PATH names."""
    named = os.environ.get("COMFYUI_PATH")
    candidates = [Path(named).expanduser().resolve()] if named else [PACK.parent.parent]
    for path in candidates:
        if (path / "main.py").is_file() and (path / "comfy").is_dir():
            return path
    raise FleetError(
        f"--start: there is no ComfyUI in {str(candidates[0])!r}. Set COMFYUI_PATH to the folder with its main.py"
    )


def python_of(comfyui: Path) -> Path:
    """The Python that runs it: COMFYUI_PYTHON, else its virtual or embedded one, else this one."""
    if os.environ.get("COMFYUI_PYTHON"):
        return Path(os.environ["COMFYUI_PYTHON"]).expanduser().absolute()
    inside = "Scripts/python.exe" if os.name == "nt" else "bin/python"
    folders = [comfyui / ".venv", comfyui / "venv", comfyui.parent / ".venv", comfyui.parent / "venv"]
    candidates = [folder / inside for folder in folders] + [comfyui.parent / "python_embeded" / "python.exe"]
    return next((python for python in candidates if python.is_file()), Path(sys.executable))


class LocalServer:
    """A ComfyUI process, with output and temp folders of its own and ComfyUI's own models."""

    def __init__(self, process: subprocess.Popen[bytes], url: str, log: Path) -> None:
        self.process, self.url, self.log = process, url, log

    def wait_until_ready(self) -> None:
        """Return when it answers; FleetError with the end of its log if it does not."""
        end = time.monotonic() + LONGEST_START
        server = ComfyServer(self.url)
        while time.monotonic() < end and self.process.poll() is None:
            if server.alive():
                return
            time.sleep(0.2)
        tail = "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:])
        raise FleetError(f"--start: ComfyUI did not start. Its log ends:\n{tail}")

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


@contextlib.contextmanager
def _started(comfyui: Path, python: Path, place: int, count: int, cards: int) -> Iterator[LocalServer]:
    port = _free_port()
    threads = max(1, (os.cpu_count() or 1) // count)
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8"}
    if not cards:
        environment = {"OMP_NUM_THREADS": str(threads), **environment}  # two servers on all cores are slower than one
    device = ["--cuda-device", str(place)] if cards > 1 else [] if cards else ["--cpu"]
    with tempfile.TemporaryDirectory(prefix="fleet-", ignore_cleanup_errors=True) as scratch:
        options = [word for kind in ("input", "output", "temp", "user") for word in _folder(Path(scratch), kind)]
        command = [python, "main.py", *options, *device, "--listen", "127.0.0.1", "--port", str(port)]
        log = Path(scratch) / "server.log"
        with log.open("wb") as file:
            process = subprocess.Popen(
                [*command, "--disable-auto-launch", "--database-url", "sqlite:///:memory:"],
                cwd=comfyui, stdout=file, stderr=subprocess.STDOUT, env=environment,
            )  # fmt: skip
        server = LocalServer(process, f"http://127.0.0.1:{port}", log)
        try:
            yield server
        finally:
            server.stop()


def _folder(scratch: Path, kind: str) -> tuple[str, str]:
    (scratch / kind).mkdir()
    return f"--{kind}-directory", str(scratch / kind)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _output(python: Path, code: str) -> str:
    try:
        return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip() or "0"
    except (OSError, subprocess.CalledProcessError) as error:
        raise FleetError(
            f"--start: {str(python)!r} cannot run ComfyUI ({error}). Set COMFYUI_PYTHON to the Python that does"
        ) from error
