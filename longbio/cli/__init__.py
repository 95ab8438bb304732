"""The `longbio` command: one file a verb, each a thin shell over a public function."""

from __future__ import annotations

import sys

INTERRUPTED = "interrupted; run the same command again to go on"


def main() -> None:
    """Run the command line: exit 0 when done, 1 when the work failed, 2 on wrong usage, 130 on Ctrl-C."""
    from longbio.errors import LongbioError

    # After the `except`: nothing of the work is held any more, and its processes have ended.
    try:
        from longbio.cli.app import app

        app()
        return
    except LongbioError as error:
        said, code = " ".join(str(error).split()), 1
    except KeyboardInterrupt:
        said, code = INTERRUPTED, 130
    print(f"longbio: {said}", file=sys.stderr)
    sys.exit(code)
