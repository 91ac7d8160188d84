"""The pack in this process, loaded the way ComfyUI loads it: for the tests, the benchmarks and the trainer.

`python -m dev.pack MODULE ARGUMENTS...` runs `main()` of a module of this repository (`benchmarks.drift`, `demo.train`,
`dev.demo`) as a part of the pack, so that it reaches `core/` by relative imports, as the nodes do.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
NAME = "img2img_studio"  # inside a ComfyUI server, the pack goes by a name of ComfyUI's choosing


def register() -> ModuleType:
    """Make the parts of the pack importable as `img2img_studio.core...`; its `__init__.py`, which needs ComfyUI, waits.

    The repository root is taken off `sys.path`, because its `nodes/` would hide ComfyUI's `nodes.py`.
    """
    if NAME not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            NAME, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
        )
        assert spec
        sys.modules[NAME] = importlib.util.module_from_spec(spec)
    sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != ROOT]
    return sys.modules[NAME]


def bring_comfyui(device: str = "cpu") -> None:
    """Make the ComfyUI that `dev/comfyui.py` finds importable here.

    device: "cpu", or "cuda" to let ComfyUI choose; it decides when its modules are first imported, so call this before
    """
    from .comfyui import find  # not above, because tests/conftest.py runs this file outside of its package

    sys.path.insert(0, str(find().path))
    importlib.import_module("comfy.cli_args").args.cpu = device == "cpu"
    importlib.import_module("utils.extra_config")  # as main.py does: nodes.py puts comfy/utils.py in front of `utils`


def load(device: str = "cpu") -> dict[str, Any]:
    """The pack's node classes by id; ComfyUI's own modules can be imported from then on.

    device: as for `bring_comfyui`
    """
    pack = register()
    bring_comfyui(device)
    # ComfyUI's load_custom_node() makes a module from __init__.py, puts it into sys.modules and runs it.
    assert pack.__spec__
    assert pack.__spec__.loader
    pack.__spec__.loader.exec_module(pack)
    return pack.NODE_CLASS_MAPPINGS


def part(name: str) -> ModuleType:
    """A module of this repository, imported as a part of the pack: `part("benchmarks.drift")`."""
    return importlib.import_module(f"{register().__name__}.{name}")


def main() -> None:
    """Run `main()` of the module that the command line names, with the arguments that follow."""
    _, name, *arguments = sys.argv
    sys.argv = [name, *arguments]
    part(name).main()


if __name__ == "__main__":
    main()
