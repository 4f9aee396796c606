#!/bin/bash
# Builds the wheel, looks at what it needs from outside, installs it in an empty virtual environment and uses it there with an empty
# environment: conversion, validation, a session, the command. Exit status 77: it cannot be built here.
#
#   tests/python/wheel.sh [WHEEL]
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bin=$root/build/venv/bin

if (($# > 0)); then
    wheel=$(realpath "$1")
else
    status=0
    "$root/scripts/wheel.sh" "$work" || status=$?
    ((status != 77)) || echo "SKIPPED: what builds wheels is not installed"
    ((status == 0)) || exit $status
    wheel=$(echo "$work"/mary_onnx-*.whl)
fi
case $wheel in
*-py3-none-manylinux_*_*.whl) ;;
*) echo "wheel: not one for every Python 3 and many systems: $wheel" >&2; exit 1 ;;
esac

# Every name that a file of the wheel needs is in the wheel, or in the C library. libz.so.1 is what auditwheel counts as the system's, too:
# whatever has a Python with zlib has it, and only the command needs it.
"$bin/python" - "$wheel" <<'PYTHON'
import io, os, re, subprocess, sys, zipfile
from elftools.elf.elffile import ELFFile

own = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
archive = zipfile.ZipFile(sys.argv[1])
names = {os.path.basename(name) for name in archive.namelist()}
needed = {}
for name in archive.namelist():
    content = archive.read(name)
    if content[:4] == b"\x7fELF":
        dynamic = ELFFile(io.BytesIO(content)).get_section_by_name(".dynamic")
        for tag in dynamic.iter_tags("DT_NEEDED"):
            needed.setdefault(tag.needed, set()).add(name)
assert "mary/lib/libmary.so" in archive.namelist() and "mary/lib/mary" in archive.namelist(), archive.namelist()
outside = {name: users for name, users in needed.items() if name not in own and name not in names}
print("needed from outside:", sorted(set(needed) & own | set(outside)))
assert set(outside) <= {"libz.so.1"}, outside
assert not any(user.startswith("mary/lib/libmary") for user in outside.get("libz.so.1", ())), outside
PYTHON
PATH=$bin:$PATH "$bin/auditwheel" show "$wheel" | tr '\n' ' ' | grep -o 'consistent with the following platform tag: "[^"]*"'

python=/usr/bin/python3
[[ -x $python ]] || python=$(command -v python3)
"$python" -m venv "$work/venv"
if ! "$work/venv/bin/python" -m pip install -q --disable-pip-version-check "$wheel" >"$work/pip.log" 2>&1; then
    tail -n 3 "$work/pip.log"
    echo "SKIPPED: pip could not install the wheel and numpy (is the network there?)"
    exit 77
fi
cd "$work"
alone() { env -i "$@"; }
alone "$work/venv/bin/python" "$root/tests/python/wheel_use.py" "$root/models/fashion-lenet5.onnx"
alone "$work/venv/bin/mary" convert "$root/models/fashion-lenet5.onnx" command.onnx --levels 4 --quiet
cmp command.onnx python.onnx
alone "$work/venv/bin/mary" --version

# Beside a torch that brings its own OpenMP, where Debian's is installed. (Its numpy is another than that of $work/venv.)
if /usr/bin/python3 -c 'import torch, numpy' 2>/dev/null; then
    "$python" -m zipfile -e "$wheel" "$work/unpacked"
    alone PYTHONPATH="$work/unpacked" /usr/bin/python3 "$root/tests/python/openmp.py" "$root/models/fashion-lenet5.onnx"
fi
