# SPDX-License-Identifier: Apache-2.0
# For a login shell in the machine: makes the documentation's commands work, although there is no network.

# Each container has a loopback of its own, as on any host.
export CONTAINERS_CONF_OVERRIDE=/usr/share/bede-vm/own-loopback.conf

# An engine gets the image docker.io/library/redis when it is first used: making it takes a while.
_bede_first() { # ENGINE, its arguments
    unset -f "$1"
    bede-image "$1" redis >&2
    command "$@"
}
podman() { _bede_first podman "$@"; }
docker() { _bede_first docker "$@"; }
ctr() { _bede_first ctr "$@"; }
