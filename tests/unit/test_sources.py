"""The sources can be read everywhere: also by tools that read them in the encoding of a western Windows."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("core", "host", "nodes", "fleet", "demo", "dev", "benchmarks", "tests", "api_example")
SOURCES = sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")) + sorted(ROOT.glob("*.py"))


@pytest.mark.parametrize("file", SOURCES, ids=lambda file: str(file.relative_to(ROOT)))
def test_a_source_has_letters_that_every_tool_can_read(file):
    text = file.read_text(encoding="utf-8")
    strange = {sign for sign in text if not sign.encode("cp1252", errors="ignore")}
    assert strange == set(), "write them as an escape, or in words"
