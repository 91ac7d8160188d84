"""The words under which a search should find a node are where newer ComfyUIs look for them: in the schema."""


def test_every_schema_carries_its_words(nodes):
    for name, node in nodes.items():
        aliases = node.GET_SCHEMA().search_aliases
        assert len(aliases) >= 3, name
        assert len(set(aliases)) == len(aliases), name
