"""The estimate that the browser makes without a model is what the server works out for Stable Diffusion 1.5."""

from itertools import product

import pytest

ESTIMATE = "async ([url, settings]) => (await import(url)).estimate(settings)"
# The demo checkpoint has Stable Diffusion 1.5's noise schedule.
DEMO = {"class_type": "Img2ImgDemoCheckpoint", "inputs": {"family": "eps"}}


@pytest.fixture
def schedulers(server):
    return server.object_info["StrengthScheduler"]["input"]["required"]["scheduler"][1]["options"]


def test_it_agrees_with_the_server(frontend, server, schedulers):
    frontend.open()
    cases = [
        {"scheduler": scheduler, "steps": steps, "strength": strength, "measure": measure, "step_count": step_count}
        for scheduler, steps, strength, measure, step_count in product(
            schedulers, (1, 20), (0.05, 0.6, 0.95, 1.0), ("timestep", "noise", "steps"), ("exact", "proportional")
        )
    ]
    prompt = {"demo": DEMO} | {
        str(number): {"class_type": "StrengthScheduler", "inputs": {"model": ["demo", 0], **case}}
        for number, case in enumerate(cases)
    }
    prompt |= {f"end {n}": {"class_type": "PreviewAny", "inputs": {"source": [str(n), 1]}} for n in range(len(cases))}
    outputs = server.run(prompt).outputs
    url = f"{server.url}/extensions/{frontend.pack}/estimate.mjs"
    for number, case in enumerate(cases):
        exact = outputs[str(number)]["img2img_strength"][0]
        estimated = frontend.page.evaluate(ESTIMATE, [url, case])
        assert estimated["planned_calls"] == exact["planned_calls"], case
        assert estimated["capped"] == exact["capped"], case
        for key in ("start_sigma", "start_timestep", "snr_db"):
            assert estimated[key] == pytest.approx(exact[key], rel=0.01, abs=1), (key, case)
        for left, right in zip(estimated["timesteps"], exact["timesteps"], strict=True):
            assert left == pytest.approx(right, abs=12), case
