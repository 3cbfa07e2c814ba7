"""What `mntr` says of quotas."""

from __future__ import annotations

from harness import jute, servers

QUOTA_EXCEEDED = -125


def quotas(server) -> dict[str, int]:
    """The lines about quotas."""
    lines = (line.split("\t") for line in server.four_letter("mntr").decode().splitlines())
    return {key: int(value) for key, value in lines if key.endswith("_per_namespace") and "_quota_" in key}


def test_quotas(request, tmp_path):
    settings = {"4lw.commands.whitelist": "*", "enforceQuota": True}
    kind = request.config.getoption("--server")
    with servers.start(kind, settings, {"zookeeper.enforceQuota": True}, tmp_path) as server, jute.Client(server) as client:
        assert quotas(server) == {}
        hard = b"count=4,bytes=-1=;byteHardLimit=-1;countHardLimit=3"
        for path, limits in {"/q": hard, "/q/a": b"count=-1,bytes=10", "/other/deep": b"count=7,bytes=8"}.items():
            parts = path.split("/")[1:]
            for depth in range(1, len(parts) + 1):
                below = "/" + "/".join(parts[:depth])
                for made in (below, "/zookeeper/quota" + below):
                    client.request(jute.CREATE, jute.create_body(made, b"four" if made == below else b""))
            client.create(f"/zookeeper/quota{path}/zookeeper_limits", limits)
            client.create(f"/zookeeper/quota{path}/zookeeper_stats")
        client.create("/q/b", b"123456")
        expected = {
            "zk_q_quota_count_limit_per_namespace": 2,
            "zk_q_quota_bytes_limit_per_namespace": 9,
            "zk_q_quota_count_usage_per_namespace": 4,
            "zk_q_quota_bytes_usage_per_namespace": 18,
            "zk_other_quota_count_limit_per_namespace": 7,
            "zk_other_quota_bytes_limit_per_namespace": 8,
            "zk_other_quota_count_usage_per_namespace": 1,
            "zk_other_quota_bytes_usage_per_namespace": 4,
        }
        assert quotas(server) == expected
        for path in ("/q/c", "/q/d"):
            assert client.request(jute.CREATE, jute.create_body(path)).err == QUOTA_EXCEEDED
        # Soft limits only warn.
        client.create("/q/a/x", b"12345678901")
        client.create("/other/deep/x", b"12345678901")
        expected["zk_q_quota_exceeded_error_per_namespace"] = 2
        expected["zk_q_quota_count_usage_per_namespace"] = 5
        expected["zk_q_quota_bytes_usage_per_namespace"] = 29
        expected["zk_other_quota_count_usage_per_namespace"] = 2
        expected["zk_other_quota_bytes_usage_per_namespace"] = 15
        assert quotas(server) == expected
        server.four_letter("srst")
        expected["zk_q_quota_exceeded_error_per_namespace"] = 0
        assert quotas(server) == expected
