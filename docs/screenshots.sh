#!/bin/bash
# Takes the screenshots in docs/images: the page of examples/browser, and a converted model in Netron.
#
#   docs/screenshots.sh
#
# Needs what scripts/setup.sh --tests --ci installs, a built mary, and a font that has Netron's angle brackets (fonts-wqy-microhei, Debian). Netron
# (PyPI) is installed in build/netron.
set -euo pipefail
cd "$(dirname "$0")/.."

netron=netron==9.3.3
port=18087
if [[ ! -x build/netron/bin/netron || $(cat build/netron/complete 2>/dev/null) != "$netron" ]]; then
    echo "screenshots: installing $netron with pip into build/netron"
    python3 -m venv build/netron
    build/netron/bin/python -m pip install -q --disable-pip-version-check "$netron"
    echo "$netron" >build/netron/complete
fi
work=$(mktemp -d)
server=
trap '[[ -z $server ]] || kill "$server"; rm -rf "$work"' EXIT

mkdir -p docs/images
node tests/browser/test_page.mjs build/mary docs/images/browser.png
build/mary convert -q models/fashion-lenet5.onnx "$work/fashion-lenet5-m4.onnx" --levels 4
build/netron/bin/netron --port "$port" "$work/fashion-lenet5-m4.onnx" >"$work/netron.log" 2>&1 &
server=$!
node docs/netron.mjs "http://localhost:$port" docs/images
ls -l docs/images
