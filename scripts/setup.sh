#!/bin/bash
# Installs what is missing to build mary, and with --tests or --ci what its tests and its continuous integration use besides.
#
#   scripts/setup.sh [--plugin] [--node] [--tests] [--ci] [--package] [--no-install]
#
# Debian packages come by apt (as root, else with sudo). What the options add:
#   --plugin   the C header of ONNX Runtime, which the plugins are compiled with: the system's where it has one, else that of Debian's
#              libonnxruntime-dev, unpacked in build/onnxruntime
#   --node     Node (Debian's, unless there is one) and, in build/node, the npm packages that examples/browser needs
#   --tests    both of these, the npm packages of the JavaScript tests, the pinned Python packages of tests/requirements*.txt in build/venv*,
#              and the ONNX backend tests in build/conformance
#   --ci       what .ci/run uses besides: clang, a compiler and an emulator for ARM, a browser, torch
#   --package  what scripts/package.sh uses
# What cannot be had without network is left out, with a message, and the tests that need it are reported as skipped. Says what it installs; says
# nothing when there is nothing to do.
set -euo pipefail
cd "$(dirname "$0")/.."

build_packages=(gcc libc6-dev cmake ninja-build pkg-config libonnx-dev protobuf-c-compiler libprotobuf-c-dev zlib1g-dev
                libzip-dev libjansson-dev libpng-dev libjpeg62-turbo-dev check jq dataset-fashion-mnist)
test_packages=(python3 python3-venv ca-certificates g++ dpkg-dev file) # the last three: mary.h in C++, Debian packages
ci_packages=(clang clang-format libclang-rt-14-dev libomp-14-dev gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
             chromium python3-torch python3-onnx)
package_packages=(dpkg-dev file gzip binutils)

say() { echo "setup: $*"; }

packages=("${build_packages[@]}")
install=yes tests=no plugin=no node=no
for argument in "$@"; do
    case $argument in
    --plugin) plugin=yes ;;
    --tests) tests=yes; plugin=yes; node=yes; packages+=("${test_packages[@]}") ;;
    --ci) packages+=("${ci_packages[@]}") ;;
    --node) node=yes ;;
    --package) packages+=("${package_packages[@]}") ;;
    --no-install) install=no ;;
    *) echo "usage: scripts/setup.sh [--plugin] [--node] [--tests] [--ci] [--package] [--no-install]" >&2; exit 2 ;;
    esac
done

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

# install_python REQUIREMENTS VENV: pinned Python packages in a virtual environment of their own; done once for each version of the list.
install_python() {
    local requirements=$1 venv=$2 wanted log=build/setup-pip.log
    wanted=$(sha256sum <"$requirements")
    [[ -x $venv/bin/python && $(cat "$venv/complete" 2>/dev/null) == "$wanted" ]] && return 0
    local python=/usr/bin/python3
    [[ -x $python ]] || python=python3
    say "installing with pip into $venv: $(grep -v '^#' "$requirements" | tr '\n' ' ')"
    if ! { "$python" -m venv "$venv" && "$venv/bin/python" -m pip install --disable-pip-version-check -r "$requirements"; } \
           >"$log" 2>&1 </dev/null; then
        tail -n 3 "$log" >&2
        say "pip could not install them (is the network there? the whole output is in $log): tests that need them will be skipped" >&2
        return 1
    fi
    echo "$wanted" >"$venv/complete"
}

# ONNX Runtime's C header, version 1.23 or later (plugin execution providers came with that). Debian 13 has an older one and Debian 12 none, so
# the package is taken from the first of Debian's suites that has it, from the mirror that this machine's apt uses, and unpacked, not installed:
# it is headers only.
fetch_onnxruntime_header() {
    local folder=build/onnxruntime log=build/setup-onnxruntime.log suite mirror options deb
    has_header() { grep -qs '^#define ORT_API_VERSION \(2[3-9]\|[3-9][0-9]\)' "$@"; }
    has_header /usr/include/onnxruntime/onnxruntime_c_api.h /usr/include/onnxruntime/core/session/onnxruntime_c_api.h \
        "$folder/usr/include/onnxruntime/onnxruntime_c_api.h" && return 0
    : >"$log"
    mirror=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 2>>"$log" | awk '$1 == "Debian" { print $2; exit }')
    if [[ -n $mirror ]]; then
        rm -rf "$folder"
        mkdir -p "$folder"/lists/partial "$folder"/cache/archives/partial
        options=(-o Dir::Etc::sourcelist="$PWD/$folder/sources" -o Dir::Etc::sourceparts=- -o Dir::State::lists="$PWD/$folder/lists"
                 -o Dir::Cache="$PWD/$folder/cache" -o APT::Sandbox::User=root -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false)
        options+=(-o Acquire::Check-Valid-Until=false) # a mirror that lags behind will do: signatures are checked all the same
        for suite in stable testing unstable; do
            echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >"$folder/sources"
            apt-get -q "${options[@]}" update >>"$log" 2>&1 || continue
            deb=$(apt-cache "${options[@]}" policy libonnxruntime-dev | awk '/Candidate:/ { print $2 }')
            dpkg --compare-versions "${deb:-0}" ge 1.23 || continue
            say "unpacking the C header of ONNX Runtime $deb (Debian $suite) in $folder"
            (cd "$folder" && apt-get -q "${options[@]}" download libonnxruntime-dev && dpkg-deb -x libonnxruntime-dev_*.deb .) >>"$log" 2>&1
            break
        done
        rm -rf "$folder"/lists "$folder"/cache "$folder"/sources "$folder"/*.deb
    fi
    has_header "$folder/usr/include/onnxruntime/onnxruntime_c_api.h" && return 0
    say "the C header of ONNX Runtime could not be had (is the network there? the whole output is in $log): its plugins are not built" >&2
    return 1
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
    if [[ $plugin == yes ]]; then
        fetch_onnxruntime_header || true # it has said so; everything else is built all the same
    fi
    if [[ $tests == yes ]] && install_python tests/requirements.txt build/venv; then
        # Without network there are no backend tests to gather: it has said so, and CTest reports them as skipped.
        gather_conformance || true
    fi
    if [[ $node == yes ]]; then
        install_node || true # it has said so; CTest reports the tests that need them as skipped
    fi
    if [[ $tests == yes ]]; then # the oldest ONNX Runtimes that the two plugins work with; there are no wheels of them for the newest Pythons
        install_python tests/requirements-ort-1.17.txt build/venv-ort-1.17 || true
        install_python tests/requirements-ort-1.23.txt build/venv-ort-1.23 || true
    fi
fi
