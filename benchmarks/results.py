"""The table in benchmarks/README.md: one row for each question and machine, written by the benchmark itself."""

from __future__ import annotations

import os
import platform
from pathlib import Path

TABLE = Path(__file__).parent / "README.md"
HEAD = """# Benchmarks

Each row is written by the command that measured it: `python -m nox -s benchmarks -- NAME` runs the file `NAME.py` of
this folder.

| question | measured | limit | on |
| --- | --- | --- | --- |
"""


def write(question: str, measured: str, limit: str, machine: str) -> None:
    """Put a row into the table, in place of an older one for the same question and machine."""
    text = TABLE.read_text(encoding="utf-8") if TABLE.exists() else HEAD
    old = [line for line in text.splitlines() if line.startswith("| ")][2:]
    kept = [line for line in old if not (line.startswith(f"| {question} |") and line.endswith(f"| {machine} |"))]
    rows = sorted([*kept, f"| {question} | {measured} | {limit} | {machine} |"])
    TABLE.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8", newline="\n")
    print(f"{question}: {measured} ({limit}), {machine}")


def processor() -> str:
    """The kind of processor, how many cores it has here, and the system."""
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}"
