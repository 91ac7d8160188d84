"""The project's commands: `python -m nox -s demo`, `test`, `lint`, `train`, `pack`.

Each one first provides a ComfyUI (dev/comfyui.py), which a second run finds again.
"""

import logging
import sys

import nox

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["test"]


def run_beside_comfyui(session: nox.Session, group: str, *command: str) -> None:
    """Run `python COMMAND` with ComfyUI's packages and those of a dependency group in pyproject.toml."""
    session.run(sys.executable, "-m", "dev.comfyui", group, *command)


def run_part(session: nox.Session, group: str, name: str, *arguments: str) -> None:
    """Run `main()` of a module of this repository as a part of the pack (dev/pack.py), beside ComfyUI."""
    run_beside_comfyui(session, group, "-m", "dev.pack", name, *arguments)


@nox.session(venv_backend="none")
def demo(session: nox.Session) -> None:
    """Run a shipped workflow into output/: `-- [PHOTO PROMPT] [--strength S] [--workflow NAME] [--checkpoint NAME]`."""
    run_part(session, "client", "dev.demo", *session.posargs)


@nox.session(venv_backend="none")
def test(session: nox.Session) -> None:
    """Run every tier: unit, fleet, host, server, browser; `-- ARGUMENTS` go to pytest in place of the tiers."""
    logging.getLogger("nox").setLevel(logging.CRITICAL)  # pytest's summary is the last word
    tiers = [f"tests/{tier}" for tier in ("unit", "fleet", "host", "server", "browser")]
    # Two at once, whole files each, so that a file's server is started once.
    side_by_side = ["--numprocesses=2", "--dist=loadfile", *tiers]
    run_beside_comfyui(session, "test", "-m", "pytest", *(session.posargs or side_by_side))


@nox.session(venv_backend="none")
def look(session: nox.Session) -> None:
    """Run every template in the browser, on pictures of every shape: minutes, so not a part of `test`."""
    run_beside_comfyui(session, "test", "-m", "pytest", "-m", "long", "tests/browser", *session.posargs)


@nox.session(venv_backend="none")
def large(session: nox.Session) -> None:
    """The sets that `test` runs a part of: devices with all options, 2,000 fuzzed inputs, 1,000 masks, a long queue."""
    host = [f"tests/host/test_{name}.py" for name in ("devices", "fuzz", "cancel")]
    tests = (*host, "tests/unit/test_seam.py", "tests/large")
    run_beside_comfyui(session, "test", "-m", "pytest", "--large", *(session.posargs or tests))


@nox.session(venv_backend="none")
def hosts(session: nox.Session) -> None:
    """The newest frontend, a ComfyUI that is too old, and with COMFYUI_PATH one of your own; `-- TESTS` only those."""
    session.run(sys.executable, "-m", "dev.hosts", *session.posargs)


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Style, imports that point one way, and types."""
    run_beside_comfyui(session, "lint", "-m", "ruff", "check")
    run_beside_comfyui(session, "lint", "-m", "ruff", "format", "--check")
    run_beside_comfyui(session, "lint", "-m", "basedpyright")


@nox.session(venv_backend="none")
def workflows(session: nox.Session) -> None:
    """Write workflows/*.json anew from dev/workflows/, with their thumbnails; `-- NAMES` some of them."""
    run_part(session, "client", "dev.workflows", *session.posargs)


@nox.session(venv_backend="none")
def pictures(session: nox.Session) -> None:
    """Make the pictures of the README and the help pages anew; `-- photograph` or `-- edits` makes only those."""
    run_part(session, "test", "dev.pictures", *session.posargs)


@nox.session(venv_backend="none")
def families(session: nox.Session) -> None:
    """Try every capability on every family of models, and write docs/families.md; `-- NAMES` tries some of them."""
    run_part(session, "client", "dev.family_table", *session.posargs)


@nox.session(venv_backend="none")
def train(session: nox.Session) -> None:
    """Train the demo checkpoint; `-- ARGUMENTS` go to demo/train.py."""
    run_part(session, "client", "demo.train", *session.posargs)


@nox.session(venv_backend="none")
def benchmarks(session: nox.Session) -> None:
    """Measure what the pack costs, into benchmarks/README.md: `-- NAME` runs benchmarks/NAME.py alone."""
    every = [
        "import_time",
        "sampler_overhead",
        "edit_overhead",
        "drift",
        "variations",
        "inpaint",
        "seams",
        "tiles",
        "demo_world",
        "inversion",
        "edit_truth",
        "fleet",
        "gpu",
    ]
    names = session.posargs[:1] or every
    for name in names:
        group = "test" if name == "fleet" else "client"
        run_part(session, group, f"benchmarks.{name}", *session.posargs[1:])
