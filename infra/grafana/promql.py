"""Queries that several panels are made of."""

from __future__ import annotations


def rate(metric: str, by: str = "", window: str = "1m") -> str:
    """Events per second, summed."""
    return f"sum{f' by ({by}) ' if by else ''}(rate({metric}[{window}]))"


def quantile(share: float, histogram: str, by: str = "", matching: str = "") -> str:
    """Of a histogram's last minute."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket{matching}', labels)})"


def p50_p99(histogram: str, by: str = "", matching: str = "") -> dict[str, str]:
    """Both, as the queries of a panel."""
    legend = " ".join(f"{{{{{name.strip()}}}}}" for name in by.split(",") if name)
    return {
        f"{legend} {name}".strip(): quantile(share, histogram, by, matching)
        for name, share in (("p50", 0.5), ("p99", 0.99))
    }


def mean(histogram: str, by: str = "") -> str:
    """Of a histogram's last minute."""
    return f"{rate(f'{histogram}_sum', by)} / {rate(f'{histogram}_count', by)}"


HTTP = "payments_http_request_seconds"
POST = '{method="POST",path="/api/v1/transactions",status="201"}'
API = '{path=~"/api/.*"}'
ERRORS = '{path=~"/api/.*",status=~"5.."}'
ANTIFRAUD = '{envoy_cluster_name="antifraud"}'

ERROR_SHARE = (
    f"({rate(f'{HTTP}_count{ERRORS}', '', '5m')} or vector(0)) / {rate(f'{HTTP}_count{API}', '', '5m')}"
)
