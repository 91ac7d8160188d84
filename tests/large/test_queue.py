"""A thousand queued prompts: memory and open files stay what they were. `nox -s large` runs it; minutes.

ComfyUI keeps the last 10,000 prompts with what their nodes showed: by that a server grows. So its memory is measured
twice: while that history is cleared all the time, where nothing may be left, and as it stands.
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
CLEARED = max(60, PROMPTS // 3)  # of which ComfyUI keeps nothing
MOST_GROWTH = 20e6  # bytes in 1,000 prompts, with all that ComfyUI keeps of them
MOST_LEFT = 5e6  # bytes over all prompts of which it keeps nothing


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


def growth(server, prompt, process, seeds, cleared):
    """Prompts so far and bytes held, after every few of them; the most files open; the last prompt's id.

    cleared: whether ComfyUI's history is cleared after every few prompts, as its button does
    """
    sampled, memory, files, last = [], [], [], ""
    for first in seeds[::TOGETHER]:
        last = run(server, prompt, range(first, first + TOGETHER))
        sampled.append(first)
        memory.append(own_memory(process))
        files.append(process.num_fds())
        if cleared:
            server.http.post(f"{server.url}/history", json={"clear": True}, timeout=60).raise_for_status()
    print("\nMB:", *(round(one / 1e6, 1) for one in memory))
    return sampled, memory, max(files), last


def test_memory_and_open_files_stay_flat(server, prompt):
    process = psutil.Process(server.process.pid)
    run(server, prompt, range(WARM))
    files = process.num_fds()
    _, held, most_files, _ = growth(server, prompt, process, range(WARM, WARM + CLEARED), cleared=True)
    seeds = range(WARM + CLEARED, WARM + CLEARED + PROMPTS)
    left = held[-1] - held[0]
    sampled, memory, most_files_kept, last = growth(server, prompt, process, seeds, cleared=False)
    grown = 1000 * np.polyfit(sampled, memory, 1)[0]
    kept = server.get(f"history/{last}")[last]
    shown = sum(len(json.dumps(output)) for output in kept["outputs"].values())
    print(f"\n{grown / 1e6:.1f} MB in 1,000 prompts, {left / 1e6:+.1f} MB over {CLEARED} without history")
    print(f"that history of a prompt: {len(json.dumps(kept))} bytes of JSON, {shown} of them shown by nodes")
    print(f"open files {files} to {max(most_files, most_files_kept)}")
    assert grown < MOST_GROWTH
    assert left < MOST_LEFT
    assert shown < len(json.dumps(kept["prompt"]))
    assert max(most_files, most_files_kept) <= files + 4
