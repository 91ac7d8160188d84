"""Make the pack importable as `img2img_studio`, as ComfyUI does under a name of its own choosing.

The root `__init__.py` needs ComfyUI, so it is not run here: the unit tier imports `img2img_studio.core...` without it,
and tests/host/conftest.py runs it once ComfyUI is on the path. The repository root itself never enters `sys.path`,
because its `nodes/` would hide ComfyUI's `nodes.py`.
"""

import os
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

runpy.run_path(str(ROOT / "dev" / "pack.py"))["register"]()  # by its path: it makes the imports below possible

# The test models are far too small to gain from more threads; on a busy machine more of them only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


class RootIsNoPackage:
    """Collect the repository root as a plain folder: pytest takes it for a package and would run its `__init__.py`."""

    def pytest_collect_directory(self, path, parent):
        return pytest.Dir.from_parent(parent, path=path) if path == ROOT else None


def pytest_addoption(parser):
    parser.addoption("--large", action="store_true", help="the large sets of devices and fuzz (nox -s large)")


def pytest_configure(config):
    config.pluginmanager.register(RootIsNoPackage())  # a conftest's own hooks reach no folder above it


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """One running ComfyUI for the whole session, with folders of its own, so that it leaves the host as it was."""
    from img2img_studio.dev import comfyui
    from img2img_studio.dev.server import Server

    frontend = os.environ.get("COMFYUI_NEWEST_FRONTEND")  # set by `nox -s hosts`
    other = ["--front-end-root", frontend] if frontend else []
    with Server(comfyui.find(), tmp_path_factory.mktemp("server"), ["--cpu", *other]) as running:
        yield running


@pytest.fixture(scope="session")
def chromium_path():
    """Path of a Chromium: the one on PATH, else one installed for the occasion, else a failure that says how."""
    from img2img_studio.dev import chromium

    return chromium.find_or_install()
