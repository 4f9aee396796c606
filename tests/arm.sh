#!/bin/sh
# The kernel harness for aarch64: cross-compiled, and run under qemu. Says what is missing, and exits with 77 (CTest:
# skipped), where the tools are not installed (Debian: gcc-aarch64-linux-gnu, libc6-dev-arm64-cross,
# qemu-user).
#
#   tests/arm.sh BUILD_DIRECTORY [option of kernels_test_kernels]...
#
# The build directory has the generated ONNX headers; objects go to its arm/.
set -eu
source=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "$1" && pwd)
shift
for tool in aarch64-linux-gnu-gcc qemu-aarch64; do
    if ! command -v "$tool" >/dev/null; then
        echo "$tool is not installed: nothing was tested"
        exit 77
    fi
done

mkdir -p "$build/arm"
cd "$build/arm"
if ! echo 'int main(void) { return 0; }' | aarch64-linux-gnu-gcc -static -x c - -o probe 2>/dev/null; then
    echo "aarch64-linux-gnu-gcc finds no C library (libc6-dev-arm64-cross): nothing was tested"
    exit 77
fi
cc=aarch64-linux-gnu-gcc
if command -v ccache >/dev/null; then
    cc="ccache $cc"
fi
flags="-O2 -std=gnu17 -D_GNU_SOURCE -DMARY_VERSION=\"arm\" -I$source -I$source/include -I$build/proto
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wvla -Wno-unknown-pragmas -Werror -ffunction-sections -fdata-sections"

# One object a source, newer than everything that it could include or left alone.
: >jobs
objects=
for file in "$source"/ops/*.c "$source"/ops/mary/*.c "$source"/onnx/memory.c "$source"/onnx/status.c \
    "$source"/onnx/tensor.c "$source"/tests/kernels/*.c "$source"/tests/support/conv_reference.c; do
    case $file in
    *_avx2.c | *_avxvnni.c | *_avx512.c | *_avx512vnni.c) continue ;;
    *_neon.c) extra=-march=armv8.2-a+dotprod ;;
    *) extra= ;;
    esac
    object=$(echo "${file#"$source"/}" | tr / _ | sed 's/c$/o/')
    objects="$objects $object"
    if [ -e "$object" ] && [ -z "$(find "$source/ops" "$source/onnx" "$source/tests/kernels" "$source/include" -newer "$object" -name '*.[ch]' -print -quit)" ]; then
        continue
    fi
    echo "$cc $flags $extra -c $file -o $object" | tr '\n' ' ' >>jobs
    echo >>jobs
done
xargs -P "$(nproc)" -I{} sh -c '{}' <jobs

# Operators bring references to the reader of ONNX files, which no kernel needs: unused sections go.
aarch64-linux-gnu-gcc -static -Wl,--gc-sections $objects -lm -lpthread -o kernels
qemu-aarch64 -cpu max ./kernels "$@"
