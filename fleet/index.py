"""Names and what they stand for, in a file that goes with the process: a run of any length fills no memory."""

from __future__ import annotations

import sqlite3
from typing import Generic, TypeVar

Value = TypeVar("Value", str, int)


class Index(Generic[Value]):
    """What a name stands for. SQLite keeps the newest 2 MB in memory and the rest in a temporary file of its own."""

    def __init__(self) -> None:
        self._table = sqlite3.connect("", isolation_level=None)
        self._table.execute("PRAGMA synchronous = OFF")
        self._table.execute("CREATE TABLE known (name TEXT PRIMARY KEY, value) WITHOUT ROWID")

    def __setitem__(self, name: str, value: Value) -> None:
        self._table.execute("INSERT OR REPLACE INTO known VALUES (?, ?)", (name, value))

    def get(self, name: str) -> Value | None:
        """What the name stands for, or None."""
        found = self._table.execute("SELECT value FROM known WHERE name = ?", (name,)).fetchone()
        return found[0] if found else None

    def close(self) -> None:
        """Forget it all."""
        self._table.close()
