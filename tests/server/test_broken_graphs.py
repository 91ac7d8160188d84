"""Every wire of every template: taken away, ComfyUI's own validation names the node and the input that miss it.

Optional inputs may be left open, and a wire into a widget leaves the widget's own value, so those are legal.
"""

from collections import Counter

import pytest
from img2img_studio.dev import workflows
from img2img_studio.dev.api_prompt import on_demo_checkpoint
from img2img_studio.dev.graph import is_widget

MISSING = "required_input_missing"


def is_wire(value):
    return isinstance(value, list) and len(value) == 2


def needs(prompt, wanted):
    """The nodes that a node waits for, and itself."""
    wires = [value for value in prompt[wanted]["inputs"].values() if is_wire(value)]
    return {wanted}.union(*(needs(prompt, source) for source, _ in wires))


@pytest.mark.parametrize("name", sorted(workflows.WORKFLOWS))
def test_a_missing_wire_is_named(server, load_workflow, name):
    prompt = on_demo_checkpoint(server.to_prompt(load_workflow(name)))
    info = server.object_info
    outputs = {node: needs(prompt, node) for node in prompt if info[prompt[node]["class_type"]]["output_node"]}
    told = Counter()
    for node, label, wire in [(n, i, v) for n in prompt for i, v in prompt[n]["inputs"].items() if is_wire(v)]:
        schema = info[prompt[node]["class_type"]]["input"]
        if label in schema.get("optional", {}) or is_widget(schema["required"][label]):
            told["legal"] += 1
            continue
        reached = [output for output, needed in outputs.items() if node in needed]
        assert reached, f"{prompt[node]['class_type']} {node} leads to no output: its faults go unseen"
        del prompt[node]["inputs"][label]
        # Asked for these outputs alone, ComfyUI refuses at once, and nothing is queued.
        body = {"prompt": prompt, "partial_execution_targets": reached}
        answer = server.http.post(f"{server.url}/prompt", json=body, timeout=60)
        prompt[node]["inputs"][label] = wire
        assert answer.status_code == 400, f"{node}.{label}: {answer.text[:300]}"
        errors = answer.json()["node_errors"][node]["errors"]
        assert (MISSING, label) in [(error["type"], error["extra_info"]["input_name"]) for error in errors]
        told["dialog" if len(reached) == len(outputs) else "toast"] += 1
    assert told["dialog"] + told["toast"] > 0
    print(name, dict(told))
