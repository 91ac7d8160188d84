"""A thousand queued prompts: memory and open files stay what they were. `nox -s large` runs it; minutes.

ComfyUI keeps the last 10,000 prompts with what their nodes showed: by that a server grows. So its memory is measured
twice: as it stands, and once more when that history has been cleared, where nothing may be left.
"""

import json
import os

import numpy as np
import psutil
import pytest
from img2img_studio.dev import comfyui
from img2img_studio.dev.server import Server

PROMPTS = int(os.environ.get("QUEUED_PROMPTS", "1000"))
WARM = max(20, PROMPTS // 10)  # until every cache has its size
TOGETHER = 20
MOST_GROWTH = 20e6  # bytes in 1,000 prompts, with all that ComfyUI keeps of them
MOST_LEFT = 5e6  # bytes over all prompts, when ComfyUI has let go of them


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A ComfyUI whose memory is what is in use.

    glibc keeps what was freed at the end of its heap, up to twice the largest block that was ever given back: a step of
    20 MB with nothing in it. At a threshold that is set, here to what it starts with, it gives that back.
    """
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", str(128 * 1024))
    with Server(comfyui.find(), tmp_path, ["--cpu"]) as running:
        yield running


@pytest.fixture
def prompt(server):
    workflow = json.loads((comfyui.ROOT / "workflows" / "Try it without a model.json").read_text(encoding="utf-8"))
    prompt = server.to_prompt(workflow)
    for node in prompt.values():
        if "steps" in node["inputs"]:
            node["inputs"]["steps"] = 2
    return prompt


def run(server, prompt, seeds):
    """Queue a prompt with each of the seeds, then wait for all of them; the id of the last one."""
    queued = []
    for seed in seeds:
        for node in prompt.values():
            node["inputs"] |= {name: seed for name in ("seed", "noise_seed") if name in node["inputs"]}
        queued.append(server.queue(prompt))
    for prompt_id in queued:
        assert server.follow(prompt_id).error is None
    return queued[-1]


def own_memory(process):
    """Bytes that a process holds for itself. Pages of files come and go with what else the machine has to keep."""
    held = process.memory_info()
    return held.rss - getattr(held, "shared", 0)


def memory_without_history(server, prompt, process, seed):
    """Bytes when ComfyUI has cleared its history, as its button does, and has run a few prompts more."""
    server.http.post(f"{server.url}/history", json={"clear": True}, timeout=60).raise_for_status()
    run(server, prompt, range(seed, seed + TOGETHER))
    return own_memory(process)


def test_memory_and_open_files_stay_flat(server, prompt):
    process = psutil.Process(server.process.pid)
    run(server, prompt, range(WARM))
    before, files_before = memory_without_history(server, prompt, process, PROMPTS), process.num_fds()
    sampled, memory, files, last = [], [], [], ""
    for first in range(WARM, PROMPTS, TOGETHER):
        last = run(server, prompt, range(first, first + TOGETHER))
        sampled.append(first + TOGETHER)
        memory.append(own_memory(process))
        files.append(process.num_fds())
    slope = np.polyfit(sampled, memory, 1)[0]
    kept = server.get(f"history/{last}")[last]
    left = memory_without_history(server, prompt, process, PROMPTS + TOGETHER) - before
    shown = sum(len(json.dumps(output)) for output in kept["outputs"].values())
    print(f"\nmemory {memory[0] / 1e9:.3f} GB to {memory[-1] / 1e9:.3f} GB, {slope * 1e-3:.1f} MB in 1,000 prompts")
    print(f"ComfyUI's history of a prompt: {len(json.dumps(kept))} bytes of JSON, {shown} of them shown by nodes")
    print(f"left after {PROMPTS - WARM} prompts without that history: {left / 1e6:+.1f} MB")
    print(f"open files {files_before} to {files[-1]}")
    assert slope * 1000 < MOST_GROWTH
    assert left < MOST_LEFT
    assert shown < len(json.dumps(kept["prompt"]))
    assert max(files) <= files_before + 4
