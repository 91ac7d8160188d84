"""The fleet tier: cutting and keeping books without any server, trouble with stand-ins, equal bits with real ComfyUIs.

This file is all that knows how the tests get their servers.
"""

import json
import os
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
STAND_IN = Path(__file__).with_name("standin.py")


class StandIns:
    """Processes of stand-ins, by their addresses."""

    def __init__(self):
        self.processes = {}

    def start(self, count=1, seconds=0.02, chaos=0.0, seed=0, certificate=()):
        """Addresses of new stand-ins, which share a process."""
        command = [sys.executable, STAND_IN, str(count), str(seconds), str(chaos), str(seed), *certificate]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        urls = json.loads(process.stdout.readline())
        self.processes |= dict.fromkeys(urls, process)
        return urls

    def kill(self, url):
        self.processes[url].kill()
        self.processes[url].wait()

    def tell(self, url, **options):
        """Set how a stand-in behaves; returns what it has seen."""
        return requests.post(f"{url}/stand-in", json=options, timeout=10).json()


@pytest.fixture
def stand_ins():
    """Start stand-ins that end with the test."""
    all_of_them = StandIns()
    yield all_of_them
    for process in set(all_of_them.processes.values()):
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture
def toy_prompt():
    """A workflow in API format for the stand-ins."""
    return {
        "1": {"class_type": "StandIn", "inputs": {"seed": 0, "model": "toy"}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}},
    }


@pytest.fixture
def command():
    """Start `python -m fleet ARGUMENTS` in a process of its own, which hears Ctrl-C.

    Shells have what they start in the background ignore it, and so would all that the tests start.
    """
    started = []
    hearing = None if sys.platform == "win32" else partial(signal.signal, signal.SIGINT, signal.SIG_DFL)

    def start(*arguments):
        process = subprocess.Popen(
            [sys.executable, "-m", "fleet", *map(str, arguments)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "COLUMNS": "200"},
            preexec_fn=hearing,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture(scope="session")
def second_server():
    """Another real ComfyUI beside the session's `server`, as `--start 1` starts it; a test may kill its process."""
    from img2img_studio.fleet.local import servers_on_this_machine

    with servers_on_this_machine(1) as (running,):
        yield running
