"""Tables on a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from longbio.conversion.verify import as_rows


def checks_table(verification: Mapping[str, Any]) -> Table:
    """The checks of a conversion, one line each."""
    table = Table(box=None, pad_edge=False)
    for header in ("", "check", "measured", "limit"):
        table.add_column(header, justify="right" if header == "measured" else "left")
    for result, name, value, limit in as_rows(verification):
        colour = {"pass": "green", "FAIL": "bold red"}.get(result, "dim")
        table.add_row(f"[{colour}]{result}[/{colour}]", name, value, limit)
    return table
