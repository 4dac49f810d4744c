#!/bin/sh
# Compiles our own crates so that the fuzzing engine sees which branches an input takes. Cargo calls it in place of
# rustc (RUSTC_WORKSPACE_WRAPPER), for the workspace's crates only: their dependencies are those that tests have
# built already.
case " $* " in
*" --crate-name build_script_"*) exec "$@" ;; # runs while building, without the engine
esac
# shellcheck disable=SC2086
exec "$@" $PLATEPAL_FUZZ_FLAGS
