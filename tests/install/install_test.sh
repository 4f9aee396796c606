#!/bin/bash
# What `cmake --install` puts where is complete, agrees about its version, may be moved, and is enough to build a program against: with pkg-config and
# with CMake, shared and static. libmary.so exports what mary.h and mary_train.h declare and nothing else.
#
#   tests/install/install_test.sh SOURCE_DIR BUILD_DIR [LIBDIR]
#
# Exit status 77 (CTest: skipped) where pkg-config is missing or the build has sanitizers, which programs would have to be built with, too.
set -euo pipefail

source=$1 build=$2 libdir=${3:-lib}
here=$source/tests/install
model=$source/models/fashion-lenet5.onnx
command -v pkg-config >/dev/null || { echo "SKIPPED: no pkg-config"; exit 77; }
if grep -q '^MARY_SANITIZE:STRING=.' "$build/CMakeCache.txt"; then
    echo "SKIPPED: the build has sanitizers"
    exit 77
fi

# Variables of the environment that say where things are would hide what is missing.
unset PKG_CONFIG_PATH CMAKE_PREFIX_PATH LD_LIBRARY_PATH CPATH LIBRARY_PATH DESTDIR CFLAGS CXXFLAGS LDFLAGS
CC=${CC:-cc}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
# must WHAT COMMAND...: the command succeeds; else its output is shown.
must() {
    local what=$1
    shift
    "$@" >"$scratch/log" 2>&1 || { fail "$what"; sed 's/^/    /' "$scratch/log"; }
}

files=(bin/mary include/mary.h include/mary_train.h "$libdir/libmary.a" "$libdir/libmary.so" "$libdir/libmary.so.0" "$libdir/pkgconfig/mary.pc"
       "$libdir/cmake/mary/maryConfig.cmake" "$libdir/cmake/mary/maryConfigVersion.cmake" "$libdir/cmake/mary/mary-shared.cmake"
       "$libdir/cmake/mary/mary-static.cmake" share/man/man1/mary.1 share/doc/mary/README.md share/doc/mary/docs/cli.md
       share/bash-completion/completions/mary)

# ---- both ways of installing give the same files
must "cmake --install --prefix" cmake --install "$build" --prefix "$scratch/first" --strip
must "DESTDIR" env DESTDIR="$scratch/stage" cmake --install "$build" --prefix /opt/mary --strip
for file in "${files[@]}"; do
    [[ -e $scratch/first/$file ]] || fail "$file is not installed"
done
must "DESTDIR gives the same files" diff -r "$scratch/first" "$scratch/stage/opt/mary"
[[ $(readlink "$scratch/first/$libdir/libmary.so") == libmary.so.0 ]] || fail "libmary.so is no link to libmary.so.0"

# ---- it may be moved: nothing names where it was made or installed first
mv "$scratch/first" "$scratch/prefix"
prefix=$scratch/prefix
for path in "$build" "$source" "$scratch"; do
    found=$(grep -rlF "$path/" "$prefix" || true)
    [[ -z $found ]] || fail "installed files that name $path: $found"
done

# ---- symbols: those of the headers
nm -D --defined-only "$prefix/$libdir/libmary.so" | awk '{ sub(/@.*/, "", $3); print $3 }' | sort >"$scratch/exported"
cat "$prefix"/include/mary.h "$prefix"/include/mary_train.h | tr '\n' ' ' | grep -oE 'MARY_API [^;({]*[ *](mary_[a-z0-9_]+)\(' | sed -E 's/.*[ *](mary_[a-z0-9_]+)\($/\1/' | sort -u >"$scratch/declared"
[[ -s $scratch/declared ]] || fail "no function found in the headers"
must "libmary.so exports exactly what the headers declare" diff "$scratch/declared" "$scratch/exported"

# ---- each header alone, in every language
for header in mary.h mary_train.h; do
    echo "#include <$header>" >"$scratch/alone.c"
    cp "$scratch/alone.c" "$scratch/alone.cpp"
    for standard in c99 c11 c17; do
        must "$header as $standard" "$CC" -std=$standard -Wall -Wextra -pedantic -Werror -I "$prefix/include" -fsyntax-only "$scratch/alone.c"
    done
    command -v c++ >/dev/null || continue
    for standard in c++11 c++17 c++20; do
        must "$header as $standard" c++ -std=$standard -Wall -Wextra -pedantic -Werror -I "$prefix/include" -fsyntax-only "$scratch/alone.cpp"
    done
done
command -v c++ >/dev/null || echo "left out: the headers in C++, there is no compiler"

# ---- one version everywhere
export PKG_CONFIG_PATH=$prefix/$libdir/pkgconfig
version=$(pkg-config --modversion mary)
[[ $("$prefix/bin/mary" --version) == "mary $version" ]] || fail "mary --version says $("$prefix/bin/mary" --version), mary.pc $version"
[[ -e $prefix/$libdir/libmary.so.$version ]] || fail "there is no libmary.so.$version"
grep -qF "set(PACKAGE_VERSION \"$version\")" "$prefix/$libdir/cmake/mary/maryConfigVersion.cmake" || fail "the CMake package has another version than mary.pc, $version"

# ---- the manual page knows every verb, and completion offers them
verbs=$("$prefix/bin/mary" --help | sed -nE 's/^  ([a-z]+)  +[a-z].*/\1/p')
[[ -n $verbs ]] || fail "no verb found in mary --help"
for verb in $verbs; do
    grep -qx ".B $verb" "$prefix/share/man/man1/mary.1" || fail "mary.1 does not describe the verb $verb"
done
offered=$(PATH="$prefix/bin:$PATH" bash -c 'source "$1"; COMP_WORDS=(mary con) COMP_CWORD=1; _mary; echo "${COMPREPLY[@]}"
    COMP_WORDS=(mary convert --lev) COMP_CWORD=2; _mary; echo "${COMPREPLY[@]}"' bash "$prefix/share/bash-completion/completions/mary")
[[ $offered == $'convert\n--levels' ]] || fail "completion offers: $offered"

# ---- the program
# runs WHAT PROGRAM: it says the version and what it computed.
runs() {
    local said
    said=$(LD_LIBRARY_PATH=$prefix/$libdir "$2" "$model" 2>&1) || true
    [[ $said == "$version logits 10" ]] || fail "$1: the program says: $said"
}
needs_library() { LC_ALL=C readelf -d "$1" | grep -q 'NEEDED.*libmary'; }

read -ra flags < <(pkg-config --cflags --libs mary)
must "compile, pkg-config" "$CC" -Wall -Werror "$here/program.c" "${flags[@]}" -o "$scratch/shared"
runs "pkg-config" "$scratch/shared"
needs_library "$scratch/shared" || fail "pkg-config: libmary.so was not used"
mkdir "$scratch/archive" # a folder that has libmary.a only, so that -lmary is that one
cp "$prefix/$libdir/libmary.a" "$scratch/archive"
read -ra flags < <(pkg-config --static --cflags --libs mary)
must "compile, pkg-config --static" "$CC" -Wall -Werror "$here/program.c" -L"$scratch/archive" "${flags[@]}" -o "$scratch/static"
runs "pkg-config --static" "$scratch/static"
! needs_library "$scratch/static" || fail "pkg-config --static: libmary.so was used"

must "configure, find_package" cmake -S "$here" -B "$scratch/cmake" -DCMAKE_PREFIX_PATH="$prefix" -DMARY_WANTED="$version"
must "build, find_package" cmake --build "$scratch/cmake"
for target in shared static; do
    if [[ -x $scratch/cmake/$target ]]; then
        runs "find_package, $target" "$scratch/cmake/$target"
    else
        fail "find_package: no program $target"
    fi
done
! needs_library "$scratch/cmake/static" || fail "mary::static: libmary.so was used"
! cmake -S "$here" -B "$scratch/newer" -DCMAKE_PREFIX_PATH="$prefix" -DMARY_WANTED=99.0 >"$scratch/log" 2>&1 ||
    fail "find_package(mary 99.0) is content with $version"

echo "$failures failures"
((failures == 0))
