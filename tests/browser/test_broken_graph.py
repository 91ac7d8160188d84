"""A wire that is missing in one part of a workflow is said aloud, also where another part of it runs."""

import pytest
from img2img_studio.dev.frontend import MESSAGES

TOY = {"class_type": "Img2ImgDemoCheckpoint", "inputs": {"family": "eps"}}


@pytest.fixture
def workflow():
    """Two outputs: the toy's example, and what comes of it encoded and decoded."""
    return {
        "1": TOY,
        "2": {"class_type": "VAEEncode", "inputs": {"pixels": ["1", 3], "vae": ["1", 2]}},
        "3": {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["1", 2]}},
        "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
        "5": {"class_type": "PreviewImage", "inputs": {"images": ["1", 3]}},
    }


def said_of(frontend, node):
    """What is said of a node, once nothing more comes."""
    frontend.page.locator(MESSAGES).filter(has_text=node).first.wait_for()
    frontend.page.wait_for_timeout(1000)
    return frontend.messages()


def test_a_part_that_cannot_run_is_named_once(frontend, vue_nodes, workflow):
    frontend.open(vue_nodes=vue_nodes)
    del workflow["3"]["inputs"]["vae"]
    frontend.put("3", workflow)
    frontend.run()
    (said,) = said_of(frontend, "VAE Decode")
    assert "cannot run" in said or "missing a required input: vae" in said
    assert "vae" in said


def test_where_nothing_runs_there_is_one_message(frontend, workflow):
    del workflow["3"]["inputs"]["vae"], workflow["5"]
    frontend.open()
    frontend.put("3", workflow)
    frontend.press_run()
    (said,) = said_of(frontend, "vae")
    assert "cannot run" not in said
