"""The browser tier: the pack in ComfyUI's own frontend, in both of its renderers."""

import pytest
from img2img_studio.dev.frontend import Frontend, chromium


@pytest.fixture(scope="session")
def browser(chromium_path):
    with chromium(chromium_path) as running:
        yield running


@pytest.fixture
def frontend(browser, server):
    tab = Frontend(browser, server.url)
    yield tab
    tab.page.close()


@pytest.fixture(params=[False, True], ids=["classic canvas", "nodes 2.0"])
def vue_nodes(request):
    return request.param
