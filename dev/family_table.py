"""Every capability tried on every family of models; what works and what is refused goes into docs/families.md.

`python -m dev.pack dev.family_table [NAMES]`: names of families try only these and write nothing. The command fails
where anything fails.
"""

from __future__ import annotations

import importlib
import logging
import sys
import tempfile
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from . import pack

PAGE = pack.ROOT / "docs" / "families.md"
WORKS = "works"
INTRODUCTION = """# What was tried on which models

Written by `python -m nox -s families`, which runs every cell of the table on ComfyUI's own network of each family,
shrunken, with random weights and the conditioning that the family is used with: chain and masks against ComfyUI's own
KSampler bit for bit, a second model for the low noise (Wan 2.2, a refiner) against the pair made by hand, variations
alone against variations in a batch, edits of equal prompts that give the picture back, inversions there and back, odd
sizes, and so on (`dev/family_checks.py`). Random weights paint nothing: the table says that the arithmetic around a
model is right, not how well a model paints.

A number is a refusal before the run, with the sentence below the table.
"""


def main() -> None:
    """Run from the command line."""
    nodes = pack.load()
    logging.disable(logging.WARNING)
    architectures = pack.part("dev.families").ARCHITECTURES
    checks = pack.part("dev.family_checks")
    folder_paths = importlib.import_module("folder_paths")
    progress: Any = importlib.import_module("comfy.utils")
    progress.PROGRESS_BAR_ENABLED = False
    names = sys.argv[1:] or list(architectures)
    outcomes = {}
    with tempfile.TemporaryDirectory() as scratch, torch.inference_mode():
        folder_paths.set_temp_directory(scratch)
        for name in names:
            bench = checks.Bench(nodes, architectures[name])
            outcomes[name] = {each: outcome(check, bench) for each, check in checks.CAPABILITIES.items()}
            failed = {each: said for each, said in outcomes[name].items() if said.startswith("FAILS")}
            print(f"{name:24}", "; ".join(f"{each}: {said}" for each, said in failed.items()) or "ok", flush=True)
    if not sys.argv[1:]:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(outcomes), encoding="utf-8")
    if any(said.startswith("FAILS") for row in outcomes.values() for said in row.values()):
        sys.exit(1)


def outcome(check: Any, bench: Any) -> str:
    """``works``, the sentence of a refusal, or what failed."""
    try:
        check(bench)
    except Exception as error:
        where = Path(traceback.extract_tb(error.__traceback__)[-1].filename)
        ours = where.parent in (pack.ROOT / "nodes", pack.ROOT / "host", pack.ROOT / "core")
        if isinstance(error, ValueError) and ours:
            return str(error)
        return f"FAILS ({type(error).__name__} in {where.name}: {' '.join(str(error).split())[:160]})"
    return WORKS


def page(outcomes: dict[str, dict[str, str]]) -> str:
    """The page with the table, and every sentence of a refusal once."""
    columns = list(next(iter(outcomes.values())))
    said = [cell for row in outcomes.values() for cell in row.values() if cell != WORKS]
    sentences = list(dict.fromkeys(said))
    rows = [
        [family, *(cell if cell == WORKS else f"({sentences.index(cell) + 1})" for cell in row.values())]
        for family, row in outcomes.items()
    ]
    notes = [f"{number}. {sentence}" for number, sentence in enumerate(sentences, 1)]
    return "\n".join([INTRODUCTION, *table(["family", *columns], rows), "", *notes, ""])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


if __name__ == "__main__":
    main()
