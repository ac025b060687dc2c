# SPDX-License-Identifier: Apache-2.0
# build.sh ROUNDS: compiles the C files in /share/sources in each round, four at a time, and marks the round for the model.
set -eu
programs=/share/programs/usr
export LD_LIBRARY_PATH=$programs/lib/x86_64-linux-gnu PATH="$programs/bin:$PATH"
cd "$(mktemp -d)"
bede-mark "build 0"
for round in $(seq "$1"); do
    make --silent --always-make -j 4 -f /share/sources/Makefile
    bede-mark "build $round"
done
