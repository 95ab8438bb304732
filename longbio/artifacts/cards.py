"""Model cards: a README.md that people read and the Hugging Face Hub indexes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import yaml


def model_card(*, title: str, metadata: Mapping[str, Any], sections: Iterable[tuple[str, str]]) -> str:
    """The text of a model card.

    Args:
        title: the first heading.
        metadata: what stands in the YAML front matter, in this order ("license", "tags", ...).
        sections: (heading, Markdown body) pairs.

    Raises:
        yaml.representer.RepresenterError: `metadata` holds something other than plain values.
    """
    front_matter = yaml.safe_dump(dict(metadata), sort_keys=False, allow_unicode=True)
    parts = [f"---\n{front_matter}---", f"# {title}"]
    for heading, body in sections:
        parts += [f"## {heading}", body.strip()]
    return "\n\n".join(parts) + "\n"


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table, one line a row; every cell is shown with `str`.

    Raises:
        ValueError: a row is longer or shorter than the header.
    """
    lines = [_line(header), _line(["---"] * len(header))]
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row of {len(row)} cells under a header of {len(header)}")
        lines.append(_line(row))
    return "\n".join(lines)


def _line(cells: Sequence[object]) -> str:
    texts = (str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(texts)} |"
