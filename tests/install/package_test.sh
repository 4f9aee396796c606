#!/bin/bash
# The Debian packages: their names, what is in each, what they depend on. Nothing is installed.
#
#   tests/install/package_test.sh BUILD_DIR LIBDIR [PLUGIN.so ...]
#
# Exit status 77 (CTest: skipped) where dpkg-deb is missing or the build has sanitizers.
set -euo pipefail

build=$1 libdir=usr/$2
shift 2
for tool in dpkg-deb dpkg-shlibdeps cpack; do
    command -v $tool >/dev/null || { echo "SKIPPED: no $tool"; exit 77; }
done
if grep -q '^MARY_SANITIZE:STRING=.' "$build/CMakeCache.txt"; then
    echo "SKIPPED: the build has sanitizers"
    exit 77
fi
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

if ! cpack --config "$build/CPackConfig.cmake" -G DEB -B "$scratch" >"$scratch/log" 2>&1; then
    cat "$scratch/log"
    exit 1
fi
version=$(sed -nE 's/^CMAKE_PROJECT_VERSION:STATIC=//p' "$build/CMakeCache.txt")
made=$(cd "$scratch" && ls ./*.deb | sed -E 's|^\./([^_]*)_.*|\1|' | sort | tr '\n' ' ')
[[ $made == "libmary-dev libmary0 mary " ]] || fail "packages made: $made"

# has PACKAGE FILE...: these files and, besides documents, no others.
has() {
    local package=$1
    shift
    dpkg-deb --fsys-tarfile "$scratch/${package}_"*.deb | tar -t | sed 's|^\./||' | grep -v '/$' | sort >"$scratch/listed"
    printf '%s\n' "usr/share/doc/$package/changelog.gz" "usr/share/doc/$package/copyright" "$@" | sort >"$scratch/wanted"
    grep -v '^usr/share/doc/mary/\(docs/.*\|README\)\.md$' "$scratch/listed" | diff "$scratch/wanted" - >"$scratch/log" ||
        { fail "$package: contents (< missing, > unexpected)"; grep '^[<>]' "$scratch/log"; }
    [[ $(dpkg-deb -f "$scratch/${package}_"*.deb Version) == "$version" ]] || fail "$package: version"
    [[ -n $(dpkg-deb -f "$scratch/${package}_"*.deb Maintainer) ]] || fail "$package: no maintainer"
}
# depends PACKAGE NAME...: on these, whatever the versions, and on nothing else.
depends() {
    local package=$1 found
    shift
    found=$(dpkg-deb -f "$scratch/${package}_"*.deb Depends | tr ',' '\n' | awk '{ print $1 }' | sort | tr '\n' ' ')
    [[ $found == "$* " ]] || fail "$package depends on: $found; not on: $*"
}

plugins=("${@/#/$libdir/mary/}")
configuration=$(sed -nE 's/^CMAKE_BUILD_TYPE:STRING=//p' "$build/CMakeCache.txt" | tr '[:upper:]' '[:lower:]')
has libmary0 "$libdir/libmary.so.0" "$libdir/libmary.so.$version"
has libmary-dev usr/include/mary{,_train}.h "$libdir"/libmary.{a,so} "$libdir/pkgconfig/mary.pc" "$libdir"/cmake/mary/maryConfig{,Version}.cmake \
    "$libdir"/cmake/mary/mary-{shared,static}{,-"$configuration"}.cmake
has mary usr/bin/mary usr/share/man/man1/mary.1.gz usr/share/bash-completion/completions/mary "${plugins[@]}"
grep -qx usr/share/doc/mary/docs/cli.md "$scratch/listed" || fail "mary has no documents"

# What ldd would say: the libraries that Debian 12 calls by these names (t64 and other numbers are those of later releases).
depends libmary-dev libjansson-dev libmary0 libprotobuf-c-dev
for package in libmary0 mary; do
    found=$(dpkg-deb -f "$scratch/${package}_"*.deb Depends)
    for library in libc6 libgomp1 libjansson4 libprotobuf-c1; do
        [[ $found == *"$library"* ]] || fail "$package does not depend on $library"
    done
done
for library in libzip libpng16 libjpeg zlib1g; do
    [[ $(dpkg-deb -f "$scratch"/mary_*.deb Depends) == *$library* ]] || fail "mary does not depend on $library"
done
[[ $(dpkg-deb -f "$scratch"/libmary-dev_*.deb Depends) == *"libmary0 (= $version)"* ]] || fail "libmary-dev goes with any libmary0"
[[ $(dpkg-deb -I "$scratch"/libmary0_*.deb shlibs) == "libmary 0 libmary0 (>= $version)" ]] || fail "libmary0: shlibs"
[[ $(dpkg-deb -I "$scratch"/libmary0_*.deb triggers) == *ldconfig* ]] || fail "libmary0 does not have ldconfig run"

echo "$failures failures"
((failures == 0))
