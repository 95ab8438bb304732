"""Lists and objects that are written in a cell of CSV: as JSON, or as Python and NumPy print them.

{"text": ["Tarva"], "answer_start": [0]}
{'text': array(['Tarva'], dtype=object), 'answer_start': array([0])}
"""

from __future__ import annotations

import ast
import json
from typing import Any

MAX_CHARS = 1_000_000
"""Of a cell that is looked into."""


def is_written(cell: Any) -> bool:
    """Whether a cell begins as a list or an object."""
    return isinstance(cell, str) and cell.lstrip()[:1] in ("{", "[")


def value_in(cell: str) -> Any:
    """The list or object that is written in a cell; None of what is none."""
    if len(cell) > MAX_CHARS:
        return None
    try:
        return json.loads(cell)
    except (ValueError, RecursionError):
        pass
    try:
        return _value(ast.parse(cell.strip(), mode="eval").body)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Dict):
        keys = [_value(key) if key is not None else None for key in node.keys]
        if not all(isinstance(key, str) for key in keys):
            raise ValueError("a member without a name")
        return dict(zip(keys, map(_value, node.values), strict=True))
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(each) for each in node.elts]
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "array"
        and node.args
    ):
        return _value(node.args[0])
    value = ast.literal_eval(node)
    if value is not None and not isinstance(value, str | int | float):
        raise ValueError("no value that JSON has")
    return value
