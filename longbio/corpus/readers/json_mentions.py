"""Mentions as annotation tools write them in JSON, and relations between them: one table of spellings.

[[0, 5, "Drug"]]                                            doccano of old, spaCy
[{"id": 1, "start_offset": 0, "end_offset": 5, "label": "Drug"}]        doccano
[{"start": 0, "end": 5, "label": "Drug"}]                   Prodigy, spaCy's `ents`
[{"start": 0, "end": 5, "text": "Tarva", "labels": ["Drug"]}]           Label Studio's JSON-MIN
{"start": [0], "end": [5], "label": ["Drug"]}               a column of Parquet
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from longbio.corpus.counting import Ruler
from longbio.corpus.readers.locating import Solid
from longbio.corpus.reading import Reading
from longbio.corpus.records import Relation, Span

OFFSETS = (
    ("start", "end"),
    ("startoffset", "endoffset"),
    ("startchar", "endchar"),
    ("beginoffset", "endoffset"),
    ("begin", "end"),
    ("start", "stop"),
    ("startpos", "endpos"),
)
"""Where a mention begins, and where it ends, exclusive. Here as below, case and underscores don't matter."""

FRAGMENTS = ("fragments", "offsets")
"""Pairs of them: a mention of several fragments."""

LABELS = ("label", "labels", "type", "entitytype", "entitygroup", "class", "category", "tag")
"""The type of a mention, or of a relation; the first that is there."""

WRITTEN = ("text", "mention")
"""The words of a mention, which are checked."""

IDS = ("id", "annotationid", "entityid")

ENDS = (("fromid", "toid"), ("head", "tail"), ("headid", "tailid"))
"""What a relation goes from and to, by the ids of mentions."""

SPANS_OF_ENDS = ("headspan", "childspan")
"""The same, as Prodigy has it: mentions themselves."""

UNREAD = "mention without start, end and type"


@dataclass
class Mentions:
    """What a member holds: mentions that stand where they say, sorted, each once; those that have an id."""

    spans: tuple[Span, ...]
    ruler: Ruler
    by_id: dict[str, Span]


def items_of(cell: Any) -> list[Any] | None:
    """The items of a list, or of a column that holds a list for each of an item's members; None of else."""
    if isinstance(cell, list):
        return cell
    if (
        not isinstance(cell, dict)
        or not cell
        or not all(isinstance(column, list) for column in cell.values())
    ):
        return None
    if len({len(column) for column in cell.values()}) > 1:
        return None
    return [dict(zip(cell, values, strict=True)) for values in zip(*cell.values(), strict=True)]


def are_mentions(cell: Any) -> bool:
    """Whether a member holds mentions: at least one item has a start and an end."""
    return any(pieces_of(item) is not None for item in items_of(cell) or ())


def places_of(cell: Any) -> list[tuple[int, str | None]]:
    """Where a member's mentions say that they begin, and their words where these are all of one piece."""
    items = [(pieces_of(item), _words_of(item)) for item in items_of(cell) or ()]
    return [(pieces[0][0], written if len(pieces) == 1 else None) for pieces, written in items if pieces]


def mentions_of(cell: Any, text: str, ruler: Ruler, where: str, reading: Reading) -> Mentions:
    """The mentions that a member of a document holds, see `items_of`; their places have a number behind its.

    Items without a start and an end, or without a type, are passed over.
    """
    read: set[Span] = set()
    by_id: dict[str, Span] = {}
    solid = Solid(text)
    for number, item in enumerate(items_of(cell) or ()):
        place = f"{where}[{number}]"
        pieces, labels = pieces_of(item), labels_of(item)
        if pieces is None or not labels:
            reading.passed_over.note(UNREAD, place)
            continue
        pieces = [ruler.span(*piece) for piece in pieces]
        if not reading.alignment.holds(_fault(pieces, _words_of(item), solid), place):
            continue
        spans = [Span(tuple(pieces), label) for label in labels]
        read.update(spans)
        name = _first(item, IDS)
        if name is not None:
            by_id[str(name)] = spans[0]
    return Mentions(tuple(sorted(read)), ruler, by_id)


def relations_of(cell: Any, mentions: Mentions, where: str, reading: Reading) -> tuple[Relation, ...]:
    """The relations that a member holds; those without a type, or of what is no mention, are passed over."""
    read: dict[Relation, None] = {}
    for number, item in enumerate(items_of(cell) or ()):
        label = labels_of(item)
        head, tail = _ends(item, mentions)
        if not label:
            reading.passed_over.note("relation without a type", f"{where}[{number}]")
        elif head is None or tail is None:
            reading.passed_over.note("relation of what is no mention", f"{where}[{number}]")
        else:
            read[Relation(label[0], head, tail)] = None
    return tuple(read)


def _ends(item: Any, mentions: Mentions) -> tuple[Span | None, Span | None]:
    members = _members(item)
    for head, tail in ENDS:
        if str(members.get(head)) in mentions.by_id:
            return mentions.by_id[str(members[head])], mentions.by_id.get(str(members.get(tail)))
    spans = []
    for name in SPANS_OF_ENDS:
        pieces, labels = pieces_of(members.get(name)), labels_of(members.get(name))
        places = [mentions.ruler.span(*piece) for piece in pieces or ()]
        here = (span for span in mentions.spans if places == [*span.fragments])
        spans.append(next((span for span in here if not labels or span.label in labels), None))
    return spans[0], spans[1]


def _members(item: Any) -> dict[str, Any]:
    """By their names in lower case and without underscores."""
    if not isinstance(item, dict):
        return {}
    return {str(name).lower().replace("_", ""): value for name, value in item.items()}


def _first(item: Any, names: Sequence[str]) -> Any:
    members = _members(item)
    return next((members[name] for name in names if members.get(name) is not None), None)


def pieces_of(item: Any) -> list[tuple[int, int]] | None:
    """(start_char, end_char) of each of an item's pieces; None of an item that has none."""
    if isinstance(item, list):
        return _pairs([item[:2]]) if len(item) >= 3 else None
    members = _members(item)
    for start, end in OFFSETS:
        if (pairs := _pairs([[members.get(start), members.get(end)]])) is not None:
            return pairs
    if (pairs := _pairs([[members.get("offset"), members.get("length")]])) is not None:
        start_char, length = pairs[0]
        return [(start_char, start_char + length)]
    return next((pairs for name in FRAGMENTS if (pairs := _pairs(members.get(name))) is not None), None)


def _pairs(value: Any) -> list[tuple[int, int]] | None:
    if not isinstance(value, list) or not value:
        return None
    pairs = []
    for pair in value:
        numbers = [_whole(number) for number in pair] if isinstance(pair, list) else []
        if len(numbers) != 2 or numbers[0] is None or numbers[1] is None:
            return None
        pairs.append((numbers[0], numbers[1]))
    return pairs


def _whole(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    return int(value) if isinstance(value, int) or value.is_integer() else None


def labels_of(item: Any) -> list[str]:
    """The types of an item: one, or several as Label Studio has them."""
    value = item[2] if isinstance(item, list) and len(item) >= 3 else _first(item, LABELS)
    values = value if isinstance(value, list) else [value]
    return [label for label in values if isinstance(label, str) and label.strip()]


def _words_of(item: Any) -> str | None:
    value = _first(item, WRITTEN)
    if isinstance(value, list) and all(isinstance(piece, str) for piece in value):
        return " ".join(value)
    return value if isinstance(value, str) and value else None


def _fault(pieces: list[tuple[int, int]], written: str | None, solid: Solid) -> str | None:
    text, last = solid.text, 0
    for start, end in pieces:
        if not last <= start < end <= len(text):
            return (
                f"offsets {start} {end} are outside a text of {len(text)} characters, cover none, or are out"
                " of order"
            )
        last = end
    if written is not None and not solid.says(pieces, written):
        return "the text written beside the offsets is not what is there"
    return None
