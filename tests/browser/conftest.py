"""The browser tier: the pack in ComfyUI's own frontend, in both of its renderers."""

import pytest
from img2img_studio.dev.frontend import Frontend, chromium
from img2img_studio.dev.workflows import CHECKPOINT, CONTROL_NET


@pytest.fixture(scope="session")
def browser(chromium_path):
    with chromium(chromium_path) as running:
        yield running


@pytest.fixture
def frontend(browser, server):
    tab = Frontend(browser, server.url)
    yield tab
    tab.page.close()


@pytest.fixture
def models(server):
    """The files that the workflows name, empty: newer frontends complain of those that are missing."""
    wanted = (CHECKPOINT, CONTROL_NET)
    files = [server.folder / "models" / model["directory"] / model["name"] for model in wanted]
    for file in files:
        file.touch(exist_ok=False)
    yield
    for file in files:
        file.unlink()


@pytest.fixture(params=[False, True], ids=["classic canvas", "nodes 2.0"])
def vue_nodes(request):
    return request.param
