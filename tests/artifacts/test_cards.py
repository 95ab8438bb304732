from __future__ import annotations

import pytest
import yaml

from longbio.artifacts.cards import markdown_table, model_card


def test_card_has_front_matter_and_sections() -> None:
    card = model_card(
        title="A long model",
        metadata={"license": "apache-2.0", "tags": ["longformer", "µ"], "base_model": "a/b: c"},
        sections=[("Source", "It came from `a/b`.\n"), ("Use", "Load it.")],
    )

    start, front_matter, body = card.split("---\n", maxsplit=2)
    assert start == ""
    assert yaml.safe_load(front_matter) == {
        "license": "apache-2.0",
        "tags": ["longformer", "µ"],
        "base_model": "a/b: c",
    }
    assert list(yaml.safe_load(front_matter)) == ["license", "tags", "base_model"]
    assert body == ("\n# A long model\n\n## Source\n\nIt came from `a/b`.\n\n## Use\n\nLoad it.\n")


def test_table_keeps_its_columns_whatever_the_cells_hold() -> None:
    table = markdown_table(["check", "difference"], [["a|b\nc", 1e-6], ["d", None]])

    assert table == ("| check | difference |\n| --- | --- |\n| a\\|b c | 1e-06 |\n| d | None |")


def test_table_refuses_ragged_rows() -> None:
    with pytest.raises(ValueError, match="a row of 1 cells under a header of 2"):
        markdown_table(["a", "b"], [["only"]])
