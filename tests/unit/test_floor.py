"""On a ComfyUI that is too old the pack says so, and that ComfyUI is the one that its metadata names."""

import re
import sys
from pathlib import Path
from types import ModuleType

import pytest
from img2img_studio.floor import FLOOR, complaint

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("0.3.75", True),
        ("0.3.76", True),
        ("0.12.1", True),
        ("1.0.0", True),
        ("0.3.74", False),
        ("0.3.9", False),
        ("0.2.99", False),
        ("a fork's own", True),
        (None, False),
    ],
)
def test_the_version_is_compared_by_its_numbers(monkeypatch, version, fits):
    module = None
    if version is not None:
        module = ModuleType("comfyui_version")
        module.__version__ = version
    monkeypatch.setitem(sys.modules, "comfyui_version", module)  # None: it cannot be imported
    said = complaint()
    assert (said is None) == fits
    if said:
        assert f"needs ComfyUI 0.3.75 or newer, and this is {version or 'an older one'}." in said
        assert "\n" not in said


def test_the_metadata_names_the_same_floor():
    metadata = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = re.search(r'requires-comfyui = ">=([\d.]+)"', metadata)[1]
    assert tuple(map(int, named.split("."))) == FLOOR
