"""Other packs, from the folders somebody put them into, beside this one; none of them is a part of it."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock


def package(folder: str) -> ModuleType:
    """A pack as a Python package; the packages that it needs must be there."""
    path = Path(folder).resolve()
    importlib.import_module("server").PromptServer.instance = MagicMock()  # some add routes to a server; none runs
    sys.path.append(str(path.parent))
    with quiet():
        return importlib.import_module(path.name)


def nodes(folders: Sequence[str]) -> dict[str, Any]:
    """The node classes of packs by their ids, found as ComfyUI finds them."""
    found: dict[str, Any] = {}
    for pack in map(package, folders):
        if hasattr(pack, "NODE_CLASS_MAPPINGS"):
            found |= pack.NODE_CLASS_MAPPINGS
        else:
            found |= {one.define_schema().node_id: one for one in asyncio.run(_listed(pack))}
    return found


async def _listed(pack: ModuleType) -> list[Any]:
    extension = await pack.comfy_entrypoint()
    return await extension.get_node_list()


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without what they print while they work."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield
