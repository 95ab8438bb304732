# Sourced by the other scripts: `prepare_environment EXTRAS` makes .venv hold longbio with these
# extras, under constraints.txt, and puts it on PATH. A second call installs nothing.
# PYTHON names the interpreter that makes .venv (python3 by default).

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
venv="$root/.venv"
stamp="$venv/longbio-installed"

fail() {
    echo "error: $*" >&2
    exit 1
}

# What an installation depends on; the place too, because the package is linked to, not copied.
wanted_stamp() {
    local hash
    hash="$("$venv/bin/python" - "$root" <<'PYTHON'
import hashlib, pathlib, sys

root = pathlib.Path(sys.argv[1])
files = b"".join((root / name).read_bytes() for name in ("pyproject.toml", "constraints.txt"))
print(hashlib.sha256(files + bytes(root)).hexdigest())
PYTHON
)"
    echo "$hash $1"
}

is_installed() {
    local found
    [[ -x "$venv/bin/python" && -f "$stamp" ]] || return 1
    found="$(<"$stamp")"
    # What the tests need holds what quickstart needs.
    [[ "$found" == "$(wanted_stamp "$1")" || "$found" == "$(wanted_stamp dev,quickstart,stable-adamw,deepspeed)" ]]
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# False for a .venv that is missing, half-made, too old, or was moved with its repository: the
# commands in it still name the old place, as its activate script does.
is_usable() {
    "$venv/bin/python" -m pip --version >/dev/null 2>&1 &&
        is_new_enough "$venv/bin/python" &&
        grep -qF -e "=$venv" -e "=\"$venv" -e "='$venv" "$venv/bin/activate"
}

make_venv() {
    local python="${PYTHON:-python3}"
    command -v "$python" >/dev/null || fail "$python is not there; install Python 3.11 or later"
    is_new_enough "$python" ||
        fail "$python is older than Python 3.11; name a later one: PYTHON=python3.11 $0"

    echo "== making .venv with $("$python" --version)"
    if ! "$python" -m venv --clear "$venv"; then
        rm -rf "$venv"
        fail "$python can't make environments; install its venv module (python3-venv on Debian)"
    fi
}

prepare_environment() {
    local extras="$1"
    cd "$root"

    if ! is_installed "$extras"; then
        is_usable || make_venv

        echo "== installing longbio[$extras] into .venv (a few minutes, once)"
        rm -f "$stamp"
        "$venv/bin/python" -m pip install -q --disable-pip-version-check \
            -c constraints.txt -e ".[$extras]"
        wanted_stamp "$extras" >"$stamp"
    fi

    export PATH="$venv/bin:$PATH"
}

# `begin_script WANTED "$@"` for scripts whose third and fourth lines are their usage: fewer arguments than
# WANTED print it and end with 2; else the environment is made, and paths stay relative to the caller.
begin_script() {
    local wanted="$1" called_from="$PWD"
    shift
    if (($# < wanted)); then
        sed -n '2,4s/^# \{0,1\}//p' "$0" >&2
        exit 2
    fi
    prepare_environment quickstart
    cd "$called_from"
}
