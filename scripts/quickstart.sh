#!/usr/bin/env bash
# The whole path on real weights, in one go; arguments go to `longbio quickstart`.
set -euo pipefail

# Relative paths among the arguments are the caller's.
called_from="$PWD"
source "$(dirname "${BASH_SOURCE[0]}")/environment.sh"
prepare_environment quickstart

cd "$called_from"
exec longbio quickstart "$@"
