"""Work a folder, a thousand variations or a grid through every ComfyUI you have.

`python -m fleet` is the command, `fleet.run(...)` the function, and README.md says how. Its packages are those of the
dependency group `fleet` in pyproject.toml. No node of the pack imports this.
"""

from .errors import FleetError, NoServerLeft
from .run import Summary, run

__all__ = ["FleetError", "NoServerLeft", "Summary", "run"]
