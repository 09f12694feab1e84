# Sourced by install.sh: prints the path of a Python 3.13 that really runs and can make virtual environments.

# Finding the command proves little: pyenv puts a python3.13 on PATH that fails unless that version is selected.
usable() {
    [ -x "$1" ] && python_runs "$1" && "$1" -I -c 'import ensurepip, ssl, venv' >/dev/null 2>&1
}

# Every place one may be: all of PATH (not only its first hit), pyenv's versions, where macOS packages put it.
python_candidates() {
    old_ifs=$IFS
    IFS=:
    set -f
    for folder in $PATH; do
        echo "$folder/python3.13"
        echo "$folder/python3"
        case $folder in */shims) echo "${folder%/shims}/versions" | sed 's|$|/|' ;; esac
    done
    set +f
    IFS=$old_ifs
    # The account's own home as well: HOME may be set to something else, or to nothing.
    for root in "${PYENV_ROOT:-}" "${HOME:-}/.pyenv" "$(eval echo "~$(id -un)")/.pyenv"; do
        [ -z "$root" ] || echo "$root/versions/"
    done
    echo /usr/local/bin/python3.13
    echo /opt/homebrew/bin/python3.13
}

find_installed() {
    python_candidates | while IFS= read -r candidate; do
        case $candidate in
        */versions/) set -- "$candidate"3.13*/bin/python3.13 ;;
        *) set -- "$candidate" ;;
        esac
        for python in "$@"; do
            if usable "$python"; then
                # Its own answer, so that a wrapper script in front of it does not end up in .venv.
                "$python" -I -c 'import sys; print(sys.executable)'
                exit 0
            fi
        done
    done
}

find_uv() {
    if command -v uv >/dev/null 2>&1 && uv --version >/dev/null 2>&1; then
        command -v uv
        return
    fi
    for python in python3 python /usr/bin/python3; do
        if "$python" -m pip install --quiet --disable-pip-version-check --target .tools/uv "uv==$uv_version" >&2 &&
            [ -x .tools/uv/bin/uv ]; then
            echo .tools/uv/bin/uv
            return
        fi
    done 2>/dev/null
    return 1
}

download_python() {
    uv=$(find_uv) || return 1
    export UV_PYTHON_INSTALL_DIR="$PWD/.tools/python"
    echo "set-up: no Python 3.13 here; fetching one with uv" >&2
    with_either_certificates "$uv" python install --quiet --no-bin 3.13 >&2 || return 1
    "$uv" python find --managed-python 3.13
}

find_python() {
    found=$(find_installed)
    [ -n "$found" ] || found=$(download_python) || found=
    if [ -z "$found" ] || ! usable "$found"; then
        echo "Droptune runs on Python 3.13, and none was found or could be fetched: install Python 3.13 (with venv), then run make again." >&2
        return 1
    fi
    echo "$found"
}
