#!/bin/bash
# Installs what is missing to build mary, and with --tests or --ci what its tests and its continuous integration use besides.
#
#   scripts/setup.sh [--node] [--tests] [--ci] [--no-install]
#
# Debian packages come by apt (as root, else with sudo). --tests adds the pinned Python packages of tests/requirements.txt in build/venv and the
# ONNX backend tests in build/conformance; without network these two are left out, with a message, and the tests that need them are
# reported as skipped. --node adds Node (Debian's, unless there is one) and, in build/node, the npm packages that examples/browser needs; --tests
# adds these and those of the JavaScript tests, --ci a browser. Says what it installs; says nothing when there is nothing to do.
set -euo pipefail
cd "$(dirname "$0")/.."

build_packages=(gcc libc6-dev cmake ninja-build pkg-config libonnx-dev protobuf-c-compiler libprotobuf-c-dev zlib1g-dev
                libzip-dev libjansson-dev libpng-dev libjpeg62-turbo-dev check jq dataset-fashion-mnist)
test_packages=(python3 python3-venv ca-certificates)
ci_packages=(clang clang-format libclang-rt-14-dev libomp-14-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
             chromium)

node= # yes, no, or what tests is
say() { echo "setup: $*"; }

packages=("${build_packages[@]}")
install=yes tests=no
for argument in "$@"; do
    case $argument in
    --tests) tests=yes; packages+=("${test_packages[@]}") ;;
    --ci) packages+=("${ci_packages[@]}") ;;
    --node) node=yes ;;
    --no-install) install=no ;;
    *) echo "usage: scripts/setup.sh [--node] [--tests] [--ci] [--no-install]" >&2; exit 2 ;;
    esac
done
node=${node:-$tests} # the tests use what the page uses, and more

missing_packages() {
    local package
    for package in "${packages[@]}"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || echo "$package"
    done
}

install_packages() {
    local missing log as_root=()
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        say "this is not a Debian system; install the equivalents of these, then pass --no-install: ${packages[*]}" >&2
        return 1
    fi
    mapfile -t missing < <(missing_packages)
    ((${#missing[@]})) || return 0
    if (($(id -u) != 0)); then
        if ! command -v sudo >/dev/null; then
            say "missing, and neither root nor sudo is at hand: ${missing[*]}" >&2
            return 1
        fi
        as_root=(sudo)
    fi
    say "installing with apt: ${missing[*]}"
    log=build/setup-apt.log
    if ! { "${as_root[@]}" apt-get -q update &&
           "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}"; } \
           >"$log" 2>&1 </dev/null; then
        tail -n 5 "$log" >&2
        say "apt could not install: ${missing[*]} (is the network there? the whole output is in $log)" >&2
        return 1
    fi
}

# The pinned Python packages in a virtual environment of their own; done once for each version of the list.
install_python() {
    local wanted log=build/setup-pip.log
    wanted=$(sha256sum <tests/requirements.txt)
    [[ -x build/venv/bin/python && $(cat build/venv/complete 2>/dev/null) == "$wanted" ]] && return 0
    local python=/usr/bin/python3
    [[ -x $python ]] || python=python3
    say "installing with pip into build/venv: $(grep -v '^#' tests/requirements.txt | tr '\n' ' ')"
    if ! { "$python" -m venv build/venv && build/venv/bin/python -m pip install --disable-pip-version-check -r tests/requirements.txt; } \
           >"$log" 2>&1 </dev/null; then
        tail -n 3 "$log" >&2
        say "pip could not install them (is the network there? the whole output is in $log): tests that need them will be skipped" >&2
        return 1
    fi
    echo "$wanted" >build/venv/complete
}

# The pinned npm packages in build/node, without their install scripts: onnxruntime-node's would fetch libraries for CUDA, and what runs on the
# processor is in the package. Done once for each version of the pins; what tests need besides (devDependencies) only with --tests.
install_node() {
    local pins=examples/browser/package-lock.json log=$PWD/build/setup-npm.log wanted there omit=()
    wanted=$(sha256sum <"$pins")
    there=$(cat build/node/complete 2>/dev/null) || true
    [[ $there == "$wanted all" || ($there == "$wanted page" && $tests == no) ]] && return 0
    [[ $tests == yes ]] || omit=(--omit=dev)
    say "installing with npm into build/node what examples/browser/package-lock.json pins"
    mkdir -p build/node
    rm -f build/node/complete
    cp examples/browser/package.json "$pins" examples/browser/.npmrc build/node/
    if ! (cd build/node && ONNXRUNTIME_NODE_INSTALL=skip npm ci --ignore-scripts --no-audit --no-fund "${omit[@]}") >"$log" 2>&1 </dev/null; then
        tail -n 3 "$log" >&2
        say "npm could not install them (is the network there? the whole output is in $log): what needs them will be skipped" >&2
        return 1
    fi
    echo "$wanted $([[ $tests == yes ]] && echo all || echo page)" >build/node/complete
}

gather_conformance() {
    local log=build/setup-conformance.log
    if ! build/venv/bin/python tests/conformance/fetch.py build/conformance >"$log" 2>&1 </dev/null; then
        tail -n 3 "$log" >&2
        say "the ONNX backend tests could not be gathered (the whole output is in $log): they will be skipped" >&2
        return 1
    fi
    tail -n 1 "$log" | sed 's/^/setup: /'
}

mkdir -p build
if [[ $node == yes ]]; then
    command -v node >/dev/null || packages+=(nodejs)
    command -v npm >/dev/null || packages+=(npm)
fi
if [[ $install == yes ]]; then
    install_packages
    if [[ $tests == yes ]] && install_python; then
        # Without network there are no backend tests to gather: it has said so, and CTest reports them as skipped.
        gather_conformance || true
    fi
    if [[ $node == yes ]]; then
        install_node || true # it has said so; CTest reports the tests that need them as skipped
    fi
fi
