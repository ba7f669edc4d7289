"""How many workers a lag asks for: KEDA's formula and the autoscaler behind it, with the numbers of our ScaledObject.

No cluster: the arithmetic alone, as KEDA 2.21 (its Kafka scaler) and Kubernetes (autoscaling/v2) document it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from infra.native.paths import ROOT

MANIFEST = ROOT / "infra/kubernetes/overlays/production/scaling.yaml"
TOLERANCE = 0.1  # Kubernetes' own: so far from its target a metric is left alone


@dataclass(frozen=True)
class Rules:
    """What the ScaledObject says; times in seconds, policies in percent of the workers there are."""

    threshold: float  # records of lag for one worker
    least: int
    most: int  # also the partitions
    poll: float
    up_window: float
    up_percent: float
    up_period: float
    down_window: float
    down_percent: float
    down_period: float

    def asked(self, lag: float) -> int:
        """Workers for this lag: only as many as share the partitions evenly, and within the limits."""
        wanted = math.ceil(lag / self.threshold)
        even = next((n for n in divisors(self.most) if n >= wanted), self.most)
        return max(self.least, even)

    def on(self, partitions: int, least: int, threshold: float) -> Rules:
        """The same for a topic with so many partitions, and workers that do `threshold` in the seconds tolerated."""
        return replace(self, threshold=threshold, least=least, most=partitions)


def divisors(partitions: int) -> list[int]:
    """Numbers of workers that have the same number of partitions each."""
    return [n for n in range(1, partitions + 1) if partitions % n == 0]


def rules(manifest: dict[str, Any] | None = None) -> Rules:
    """Those of infra/kubernetes."""
    spec = (manifest or yaml.safe_load(MANIFEST.read_text()))["spec"]
    lag = next(one["metadata"] for one in spec["triggers"] if one["type"] == "kafka")
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    (up,), (down,) = behavior["scaleUp"]["policies"], behavior["scaleDown"]["policies"]
    return Rules(
        float(lag["lagThreshold"]),
        spec["minReplicaCount"],
        spec["maxReplicaCount"],
        spec["pollingInterval"],
        behavior["scaleUp"]["stabilizationWindowSeconds"],
        up["value"],
        up["periodSeconds"],
        behavior["scaleDown"]["stabilizationWindowSeconds"],
        down["value"],
        down["periodSeconds"],
    )


@dataclass
class Autoscaler:
    """Decides at each poll, and remembers what it decided: a stabilization window looks back."""

    rules: Rules
    workers: int
    events: list[tuple[float, int]] = field(default_factory=list)  # when, and to how many
    _asked: list[tuple[float, int]] = field(default_factory=list)

    def decide(self, now: float, lag: float) -> int:
        """Workers from now on. `lag`: of partitions that move; what stands still is no work for more workers."""
        rules, wanted = self.rules, self.rules.asked(lag)
        if abs(wanted / self.workers - 1) <= TOLERANCE:
            wanted = self.workers
        self._asked = [(at, n) for at, n in self._asked if at > now - max(rules.up_window, rules.down_window)]
        self._asked.append((now, wanted))
        up = min(n for at, n in self._asked if at >= now - rules.up_window)
        down = max(n for at, n in self._asked if at >= now - rules.down_window)
        stable = up if up > self.workers else min(down, self.workers)
        if (chosen := self._limited(now, stable)) != self.workers:
            self.events.append((now, chosen))
            self.workers = chosen
        return self.workers

    def _limited(self, now: float, wanted: int) -> int:
        """No more than the policy's share of what there was a period ago."""
        rules = self.rules
        if wanted > self.workers:
            return min(wanted, math.ceil(self._before(now - rules.up_period) * (1 + rules.up_percent / 100)))
        if wanted < self.workers:
            fewest = int(self._before(now - rules.down_period) * (1 - rules.down_percent / 100))
            return max(wanted, fewest, rules.least)
        return wanted

    def _before(self, moment: float) -> int:
        """How many there were then."""
        if not self.events or self.events[-1][0] <= moment:
            return self.workers
        later = [n for n, (at, _) in enumerate(self.events) if at > moment]
        return self.events[later[0] - 1][1] if later[0] else self._at_first

    def __post_init__(self) -> None:
        self._at_first = self.workers
