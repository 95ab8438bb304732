"""The `longbio` command: one file a verb, each a thin shell over a public function."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line: exit 0 when done, 1 when the work failed, 2 on wrong usage."""
    from longbio.cli.app import app
    from longbio.errors import LongbioError

    try:
        app()
    except LongbioError as error:
        print(f"longbio: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("longbio: interrupted; run the same command again to go on", file=sys.stderr)
        sys.exit(130)
