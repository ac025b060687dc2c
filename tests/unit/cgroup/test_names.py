# SPDX-License-Identifier: Apache-2.0
"""The container's id in the path of its cgroup."""

import pytest

from ocihook.cgroup import names

ID = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("cgroup", "id"),
    [
        (f"/system.slice/docker-{ID}.scope", ID),
        (f"/machine.slice/libpod-{ID}.scope", ID),
        (f"/machine.slice/libpod-{ID}.scope/container", ID),
        (f"/kubepods.slice/kubepods-pod7.slice/cri-containerd-{ID}.scope", ID),
        (f"/docker/{ID}", ID),
        (f"/libpod_parent/libpod-{ID}", ID),
        (f"/libpod_parent/libpod-{ID}/container", ID),
        (f"/system.slice/web.service/libpod-payload-{ID}", ID),
        (f"/kubepods/pod7/crio-{ID}", ID),
        ("/system.slice/bede-study.scope", "study"),
        ("/system.slice/bede-a\\x2bb\\xc3\\xa9.scope", "a+b\u00e9"),
        ("/system.slice/bede-\\x1b.scope", "\\x1b"),
        ("/system.slice/bede-\\xff.scope", "\\xff"),
        ("/bede/bede-study", "study"),
        ("/default/web", "web"),
        ("/docker-web", "docker-web"),
        ("/user.slice/my.scope", "my.scope"),
        ("/container", "container"),
        ("/web/container", "web"),
        ("/evil\x1b[2J", "evil\\x1b[2J"),
        ("/evil\udcff", "evil\\udcff"),
    ],
)
def test_the_id_is_in_the_path(cgroup: str, id: str) -> None:
    assert names.id_of(cgroup) == id


@pytest.mark.parametrize(
    ("id", "text"),
    [
        (ID, "0123456789ab"),
        ("shop-frontend-web-1", "shop-frontend-web-1"),
        ("deadbeef00000000", "deadbeef00000000"),
        ("x" * 200, "x" * 200),
    ],
)
def test_only_an_id_that_nobody_chose_is_shortened(id: str, text: str) -> None:
    assert names.short(id) == text


@pytest.mark.parametrize(
    ("cgroup", "expected"),
    [
        ("/kubepods.slice/kubepods-podx.slice/cri-containerd-{}.scope", True),
        ("/kubepods/besteffort/podx/{}", True),
        ("/other.slice/crio-{}.scope/container", True),
        ("/kubepods.slice/kubepods-podx.slice/docker-{}.scope", False),
        ("/system.slice/docker-{}.scope", False),
        ("/machine.slice/libpod-{}.scope/container", False),
    ],
)
def test_a_pods_container_is_where_cri_engines_make_it(cgroup: str, expected: bool) -> None:
    id = "ab" * 32
    assert names.is_of_pod(id, cgroup.format(id)) == expected
    assert not names.is_of_pod("web", cgroup.format("web"))
