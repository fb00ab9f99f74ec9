#!/bin/sh
# Builds the guard of each language whose toolchain is there into a folder of its own, and runs the tests of the
# committed ones against those. CLANG, CXX and PYTHON name other programs than the first that are found.
cd "$(dirname "$0")" || exit
built=$(mktemp -d)
trap 'rm -rf "$built"' EXIT

for clang in clang clang-22 clang-21 clang-20 clang-19; do
    command -v $clang >/dev/null || continue
    sysroot=$([ -d /usr/include/wasm32-wasi ] && echo --sysroot=/usr)
    export CLANG="${CLANG:-$clang}" CXX="${CXX:-$(echo $clang | sed s/clang/clang++/) $sysroot}"
    break
done

for script in */build.sh; do
    language=${script%/build.sh}
    [ "$language" = examples ] && continue
    OUT=$built/$language.wasm "$script" </dev/null
    case $? in
        0) echo "$language: built, $(wc -c <"$built/$language.wasm") bytes" ;;
        3) echo "$language: left out" ;;
        *) echo "$language: cannot be built"; broken=yes ;;
    esac
done
[ -z "$broken" ] || exit 1
[ -n "$(ls "$built")" ] || { echo "there is no toolchain at all"; exit 1; }

cd .. && GUARDSVC_GUESTS=$built nice "${PYTHON:-python3}" -m pytest -q -rfE tests/guards/wasm/test_languages.py
