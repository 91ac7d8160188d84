"""The server tier: the pack over HTTP and WebSocket, in a ComfyUI process of its own."""

import json
import re
import subprocess
import sys

import pytest
from img2img_studio.dev.comfyui import ROOT

# ComfyUI's classes are needed to make the file, and this process may have none of them.
WRITE_CONTROL_NET = """
import json, sys
sys.path.insert(0, sys.argv[1])
from comfy.cli_args import args
args.cpu = True
import safetensors
from safetensors.torch import save_file
from dev.models import random_control_net
with safetensors.safe_open(sys.argv[2], "pt") as toy:
    shape = json.loads(toy.metadata()["config"])
save_file(random_control_net(shape).state_dict(), sys.argv[3])
"""


@pytest.fixture(scope="session")
def pack_ids():
    """The ids that nodes/__init__.py registers."""
    return re.findall(r'^    "(\w+)": \w+,', (ROOT / "nodes" / "__init__.py").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture
def load_workflow():
    def load(name):
        return json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))

    return load


@pytest.fixture
def prompt(server, load_workflow):
    """The toy workflow in a few steps, ready to be queued."""
    prompt = server.to_prompt(load_workflow("Try it without a model"))
    prompt[find(prompt, "StrengthScheduler")]["inputs"]["steps"] = 4
    return prompt


@pytest.fixture(name="find")
def find_fixture():
    return find


def find(prompt, kind):
    """The id of the first node of a kind."""
    return next(name for name, node in prompt.items() if node["class_type"] == kind)


@pytest.fixture(scope="session")
def control_net_name(server):
    """The name of a tiny ControlNet with random weights, of the toy's shape, in the server's models folder."""
    path = server.folder / "models" / "controlnet" / "tiny.safetensors"
    command = [sys.executable, "-c", WRITE_CONTROL_NET, server.host.path, ROOT / "demo" / "eps.safetensors", path]
    subprocess.run(command, cwd=ROOT, check=True)
    return path.name
