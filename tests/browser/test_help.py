"""Every node of the pack has a help page that ComfyUI shows."""


def test_every_node_has_help(frontend):
    frontend.open()
    info = frontend.page.request.get(f"{frontend.url}/api/object_info").json()
    nodes = {id_: node for id_, node in info.items() if node["python_module"] == f"custom_nodes.{frontend.pack}"}
    assert len(nodes) >= 13
    for id_, node in nodes.items():
        page = frontend.help_on(id_)
        page.get_by_role("heading", name=node["display_name"], exact=True).wait_for()
        for heading in ("When to use it", "Inputs", "Troubles"):
            assert page.get_by_role("heading", name=heading, exact=True).count() == 1, f"{id_}: {heading}"
        named = page.locator("table").all_inner_texts()
        missing = [name for name in inputs_of(node) if not any(name in table for table in named)]
        assert missing == [], f"the help page of {id_} does not explain {missing}"
        for picture in page.locator("img").all():
            frontend.page.wait_for_function("image => image.naturalWidth > 0", arg=picture.element_handle())
    assert frontend.problems == []


def inputs_of(node):
    return [name for group in ("required", "optional") for name in node["input"].get(group, {})]
