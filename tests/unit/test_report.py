"""Reports are JSON that every reader understands."""

import json
import re

import torch
from img2img_studio import __path__ as roots
from img2img_studio.core.report import VERSION, Report, Work, strict_json


def test_a_report_is_strict_json():
    facts = {"sigmas": torch.tensor([2.5, 0.0]), "snr": float("inf"), "bad": float("nan")}
    text = strict_json(facts | {"nested": {"a": (1, None, True)}, "name": "\u03c3"})
    assert json.loads(text, parse_constant=lambda name: 1 / 0) == {
        "sigmas": [2.5, 0.0], "snr": None, "bad": None, "nested": {"a": [1, None, True]}, "name": "\u03c3",
    }  # fmt: skip


def test_a_report_says_what_the_work_took_under_fixed_names():
    facts = json.loads(Report({"torch": "2"}).text(Work(20, 19, 1.5) + Work(1, 2, 0.25), cfg=3.0))
    assert facts.pop("seconds") >= 0
    wanted = {"cfg": 3.0, "planned_calls": 21, "model_calls": 21, "sampling_seconds": 1.75, "versions": {"torch": "2"}}
    assert facts == wanted
    assert "model_calls" not in json.loads(Report({}).text())  # nothing was sampled, so nothing is said of it


def test_the_version_is_the_packages():
    with open(f"{roots[0]}/pyproject.toml", encoding="utf-8") as file:
        assert re.search(r'^version = "(.*)"', file.read(), re.MULTILINE)[1] == VERSION
