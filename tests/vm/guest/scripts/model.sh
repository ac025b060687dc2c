#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Loads whose misses and whose cost are known, each in a cgroup of its own. tests/vm/test_model.py looks at what the
# model made of them.
patterns=/usr/lib/bede/tests/vm/guest/workloads/patterns
in_cgroup() { # NAME COMMAND...
    mkdir "/sys/fs/cgroup/$1"
    echo 0 >"/sys/fs/cgroup/$1/cgroup.procs"
    shift
    exec "$@"
}
for node in 0 1; do
    for kind in chase stream random; do
        (in_cgroup $kind$node numactl -m $node $patterns $kind 32 2) || exit
    done
done
# Two at once, each on a CPU and with memory on a node of its own.
(in_cgroup left taskset -c 0 numactl -m 0 $patterns chase 16 3) &
(in_cgroup right taskset -c 1 numactl -m 1 $patterns chase 16 3) &
wait
bede-mark both
