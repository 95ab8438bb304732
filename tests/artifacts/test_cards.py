from __future__ import annotations

import pytest

from longbio.artifacts.cards import markdown_table


def test_table_keeps_its_columns_whatever_the_cells_hold() -> None:
    table = markdown_table(["check", "difference"], [["a|b\nc", 1e-6], ["d", None]])

    assert table == ("| check | difference |\n| --- | --- |\n| a\\|b c | 1e-06 |\n| d | None |")


def test_table_refuses_ragged_rows() -> None:
    with pytest.raises(ValueError, match="a row of 1 cells under a header of 2"):
        markdown_table(["a", "b"], [["only"]])
