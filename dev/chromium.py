"""Find a Chromium for the browser tests, or install one where that can be done without asking."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge", "microsoft-edge")
USUAL_PATHS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
    "C:/Program Files/Google/Chrome/Application/chrome.exe",
    "C:/Program Files (x86)/Microsoft/Edge/Application/msedge.exe",
)


class ChromiumMissing(RuntimeError):
    """No Chromium was found and none could be installed; the message says how to get one."""


def find_or_install() -> str:
    """The path of a Chromium: the system's, else one from Debian's packages (as root), else Playwright's own."""
    path = _find() or _from_debian() or _from_playwright()
    if path is None:
        raise ChromiumMissing(
            "The browser tests need a Chromium, and none could be installed. Install Chromium, Chrome or Edge so that "
            f"one of {', '.join(NAMES)} is on PATH, or run `{sys.executable} -m playwright install chromium`."
        )
    return path


def _find() -> str | None:
    on_path = (shutil.which(name) for name in NAMES)
    usual = (path for path in USUAL_PATHS if Path(path).is_file())
    return next((path for path in (*on_path, *usual) if path), None)


def _from_debian() -> str | None:
    if not shutil.which("apt-get") or getattr(os, "geteuid", lambda: 1)() != 0:
        return None
    print("Installing chromium with apt-get", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "--yes", "--no-install-recommends", "chromium"]):
        subprocess.run(["apt-get", "--quiet", *command], check=False, env=environment)
    return _find()


def _from_playwright() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    if not Path(path).is_file():
        print("Installing Playwright's own chromium", flush=True)
        subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)
    return path if Path(path).is_file() else None
