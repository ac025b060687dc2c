# SPDX-License-Identifier: Apache-2.0
"""The example of a quota limits what the pods of a namespace request, of both kinds of local memory."""

import pytest
from bede_plane import PODS, ROOT, System, pod, wait_until

from ocihook.cluster import words
from ocihook.cluster.api import RefusedError

QUOTA = "/api/v1/namespaces/default/resourcequotas/local-memory"


@pytest.mark.parametrize(("resource", "most"), [(words.RESOURCE, 64), (words.LENT, 128)])
def test_a_namespace_gets_no_more(system: System, resource: str, most: int) -> None:
    done = system.plane.kubectl("apply", "-n", "default", "-f", str(ROOT / "kubernetes/quota.yaml"))
    assert done.returncode == 0, done.stderr
    key = f"requests.{resource}"
    wait_until("the quota counts", lambda: key in system.api.get(QUOTA).get("status", {}).get("used", {}))
    kind = resource.rpartition("/")[2]
    for number in range(2):
        system.api.send("POST", PODS, pod(f"{kind}-{number}", **{resource: f"{most // 2}Gi"}))
    with pytest.raises(RefusedError, match=rf"exceeded quota: local-memory, requested: {key}=16Mi"):
        system.api.send("POST", PODS, pod(f"{kind}-more", **{resource: "16Mi"}))
    system.api.send("POST", PODS, pod(f"{kind}-none"))
