"""infra/envoy/envoy.yaml: one file for the native stack and for containers."""

from pathlib import Path
from typing import Any

import pytest
import yaml

TEXT = (Path(__file__).parents[2] / "infra/envoy/envoy.yaml").read_text()
CLUSTER: dict[str, Any] = yaml.safe_load(TEXT)["static_resources"]["clusters"][0]


@pytest.mark.parametrize("port", [9901, 5005, 5004, 5003])
def test_each_address_appears_once_so_that_it_can_be_substituted(port: int) -> None:
    assert TEXT.count(f"{{ address: 127.0.0.1, port_value: {port} }}") == 1
    assert TEXT.count("port_value:") == TEXT.count("{ address: 127.0.0.1,") == 4


def test_dead_replicas_get_no_calls_at_any_number_of_them() -> None:
    assert CLUSTER["outlier_detection"]["max_ejection_percent"] == 100
    assert CLUSTER["outlier_detection"]["enforcing_consecutive_gateway_failure"] == 100
    assert CLUSTER["common_lb_config"]["healthy_panic_threshold"]["value"] == 0


def test_health_is_checked_each_second_before_the_first_call_too() -> None:
    check = CLUSTER["health_checks"][0]
    assert check["interval"] == check["no_traffic_interval"] == check["unhealthy_interval"] == "1s"
    assert check["grpc_health_check"]["service_name"] == "antifraud.v1.AntifraudAPI"
