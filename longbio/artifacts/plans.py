"""A run folder belongs to one plan: going on with another would mix two runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from longbio.artifacts.files import read_json
from longbio.errors import LongbioError


def refuse_another_plan(out: Path, file: Path, asked: Mapping[str, Any], *, has_begun: bool) -> None:
    """Return if a run folder may go on by a plan.

    Args:
        out: the run folder; made if it isn't there.
        file: where in it the plan stands.
        asked: what is asked for now, ready for JSON.
        has_begun: whether there is work in the folder that another plan would spoil.

    Raises:
        LongbioError: it has begun by another plan, or can't be made.
    """
    recorded = read_json(file) if file.is_file() and has_begun else asked
    # As text: the order of keys counts too.
    changed = [key for key in asked if json.dumps(asked[key]) != json.dumps(recorded.get(key))]
    if changed:
        raise LongbioError(
            f"the run there was asked for another {', '.join(changed)}",
            where=out,
            remedy="choose another out, or delete the folder",
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LongbioError(f"the folder can't be made ({error.strerror})", where=out) from error
