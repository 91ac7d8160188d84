"""A thousand queued prompts: memory and open files stay what they were. `nox -s large` runs it; minutes."""

import json
import os

import numpy as np
import psutil
from img2img_studio.dev.comfyui import ROOT

PROMPTS = int(os.environ.get("QUEUED_PROMPTS", "1000"))
WARM = max(20, PROMPTS // 10)  # until every cache has its size
TOGETHER = 20
MOST_GROWTH = 20e6  # bytes over all prompts


def test_memory_and_open_files_stay_flat(server):
    workflow = json.loads((ROOT / "workflows" / "Try it without a model.json").read_text(encoding="utf-8"))
    prompt = server.to_prompt(workflow)
    process = psutil.Process(server.process.pid)
    sampled, memory, files = [], [], []
    for node in prompt.values():
        if "steps" in node["inputs"]:
            node["inputs"]["steps"] = 2
    for first in range(0, PROMPTS, TOGETHER):
        queued = []
        for seed in range(first, first + TOGETHER):
            for node in prompt.values():
                node["inputs"] |= {name: seed for name in ("seed", "noise_seed") if name in node["inputs"]}
            queued.append(server.queue(prompt))
        for prompt_id in queued:
            assert server.follow(prompt_id).error is None
        sampled.append(first + TOGETHER)
        memory.append(process.memory_info().rss)
        files.append(process.num_fds())
    warm = [index for index, count in enumerate(sampled) if count > WARM]
    slope = np.polyfit([sampled[i] for i in warm], [memory[i] for i in warm], 1)[0]
    grown = f"{slope * 1e-3:.1f} MB in 1,000 prompts"
    print(f"\nmemory {memory[warm[0]] / 1e9:.3f} GB to {memory[-1] / 1e9:.3f} GB, {grown}")
    print(f"open files {files[warm[0]]} to {files[-1]}")
    assert slope * PROMPTS < MOST_GROWTH
    assert max(files[i] for i in warm) <= files[warm[0]] + 4
