"""`python -m fleet` inside the repository, or `python custom_nodes/img2img-studio/fleet` from anywhere."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path


def start() -> int:
    """Find the package, whatever folder it lies in, and run its command; returns the exit code."""
    package = __package__
    if not package:  # started by its path: the folder above is not where Python looks
        folder = Path(__file__).resolve().parent
        package = folder.name
        sys.path[0] = str(folder.parent)  # in place of this folder, whose modules are no top-level ones
    try:
        return importlib.import_module(f"{package}.command").main()
    except ModuleNotFoundError as missing:
        sys.exit(
            f"The fleet needs the package {missing.name}. Install what it needs: in the pack's folder, "
            "`python -m pip install --group fleet` (pip 25.1 or newer) or `uv pip install --group fleet`."
        )


if __name__ == "__main__":
    sys.exit(start())
