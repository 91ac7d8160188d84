"""Reports are JSON that every reader understands."""

import json
import re

import torch
from img2img_studio import __path__ as roots
from img2img_studio.core.report import VERSION, report


def test_a_report_is_strict_json():
    text = report(
        sigmas=torch.tensor([2.5, 0.0]), snr=float("inf"), bad=float("nan"), nested={"a": (1, None, True)}, name="σ"
    )
    assert json.loads(text, parse_constant=lambda name: 1 / 0) == {
        "sigmas": [2.5, 0.0], "snr": None, "bad": None, "nested": {"a": [1, None, True]}, "name": "σ",
    }  # fmt: skip


def test_the_version_is_the_packages():
    with open(f"{roots[0]}/pyproject.toml", encoding="utf-8") as file:
        assert re.search(r'^version = "(.*)"', file.read(), re.MULTILINE)[1] == VERSION
