"""The server tier: the pack over HTTP and WebSocket, in a ComfyUI process of its own."""

import json
import re

import pytest
from img2img_studio.dev.host import ROOT


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
    prompt = server.to_prompt(load_workflow("00_try_without_a_model"))
    prompt[find(prompt, "StrengthScheduler")]["inputs"]["steps"] = 4
    return prompt


@pytest.fixture(name="find")
def find_fixture():
    return find


def find(prompt, kind):
    """The id of the first node of a kind."""
    return next(name for name, node in prompt.items() if node["class_type"] == kind)
