#!/bin/sh
# The kernel's tests under gcc's address and undefined-behaviour sanitizers: every byte that kernel.c reads or writes outside
# torch's tensors or its own memory, and every undefined operation, ends the run. Python itself leaks, so leaks are not looked for.
set -eu
python=${PYTHON:-python}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
export ALRNN_CACHE="$folder" CC="${CC:-gcc}"
export ALRNN_CFLAGS="-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all"
export ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=print_stacktrace=1
LD_PRELOAD="$($CC -print-file-name=libasan.so || true) $($CC -print-file-name=libubsan.so || true)"
case $LD_PRELOAD in
    /*\ /*) export LD_PRELOAD ;;
    *) echo "Sanitizers skipped: no gcc that has them."; exit 0 ;;
esac
$python -c "from alrnn.recurrence import backend; assert backend().name == 'c', backend(); print(backend())"
$python -m pytest -q -p no:cacheprovider -k "not memory and not workers" tests/test_recurrence.py tests/test_leap.py "$@"
