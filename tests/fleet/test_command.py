"""The command line, and that no node needs any of it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from img2img_studio.fleet.command import main

ROOT = Path(__file__).resolve().parents[2]


def test_it_starts_from_any_folder_by_its_path(tmp_path):
    for arguments in ((ROOT / "fleet", "--help"), (ROOT / "fleet" / "__main__.py", "run", "--help")):
        said = subprocess.run([sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True)
        assert said.returncode == 0, said.stderr
        assert "usage: fleet" in said.stdout


def test_a_missing_package_is_named(tmp_path):
    hide = "import sys; sys.modules['distributed'] = None; sys.argv = ['fleet']; import runpy; "
    code = f"{hide}runpy.run_path({str(ROOT / 'fleet')!r}, run_name='__main__')"
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "needs the package distributed" in said.stderr
    assert "--group fleet" in said.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "A whole folder", "--out", "OUT"], "Say where to run"),
        (["run", "gone.json", "--on", "a", "--out", "OUT"], "There is no workflow 'gone.json'"),
        (["run", "A whole folder", "--on", "ftp://a", "--out", "OUT"], "is no address of a server"),
        (["run", "A whole folder", "--on", "a", "--out", "OUT", "--folder", "OUT"], "There is no folder"),
        (["run", "A whole folder", "--on", "a", "--out", "OUT", "--set", "strength"], "write INPUT=VALUE"),
        (["run", "A whole folder", "--on", "a", "--out", "OUT", "--grid", "cfg="], "cfg has no values"),
        (["run", "A whole folder", "--on", "a", "--out", "OUT", "--styles", "OUT"], "cannot be read"),
        (["check"], "Say which servers"),
    ],
)
def test_what_is_wrong_is_said_before_anything_starts(tmp_path, capsys, arguments, message):
    out = tmp_path / "out"
    assert main([str(out) if word == "OUT" else word for word in arguments]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_no_node_imports_the_fleet():
    sources = [ROOT / "__init__.py", *(ROOT / "nodes").rglob("*.py"), *(ROOT / "core").rglob("*.py")]
    for source in [*sources, *(ROOT / "host").rglob("*.py")]:
        assert not re.search(r"^\s*(from|import)\b.*\b(fleet|distributed|dask)\b", source.read_text(), re.MULTILINE)
