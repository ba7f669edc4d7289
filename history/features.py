"""The features of a transaction, in order: name, unit, meaning, and what -1 says. Docs and schemas can be made of it.

All are int64 and computed before the transaction itself is counted. Windows are explained in recent.py (1 minute,
10 minutes, 1 hour), buckets.py (24 hours, 7 and 30 days) and merchants.py.
"""

from __future__ import annotations

from dataclasses import dataclass

UNKNOWN = -1  # every feature's value where there is nothing to compute it from


@dataclass(frozen=True)
class Feature:
    """One column; `unknown` says when it is -1, and is empty where it never is."""

    name: str
    unit: str
    meaning: str
    unknown: str = ""


_NO_TRANSACTION = "no transaction in the window"
_FIRST = "the customer's first transaction"

_WINDOWS = {
    "1m": "the last 60 s, among the last 32",
    "10m": "the last 600 s, among the last 32",
    "1h": "the last 3,600 s, among the last 32",
    "24h": "the last 24 to 28 h (whole buckets of 4 h)",
    "7d": "the last 7 to 8 days (whole days)",
    "30d": "the last 30 to 31 days (whole days)",
}

CUSTOMER = (
    *(
        Feature(f"count_{name}", "transactions", f"the customer's transactions of {window}")
        for name, window in _WINDOWS.items()
    ),
    *(
        Feature(f"sum_{name}", "cents", f"sum of the customer's amounts of {window}")
        for name, window in _WINDOWS.items()
    ),
    *(
        Feature(f"largest_{name}", "cents", f"largest of the customer's amounts of {window}", _NO_TRANSACTION)
        for name, window in _WINDOWS.items()
    ),
    Feature("known", "transactions", "the customer's transactions so far, at most 1,000,000"),
    Feature("merchants", "merchants", "different merchants among the last 32 transactions"),
    Feature("median", "cents", "lower median of the last 32 amounts", _FIRST),
    Feature("spread", "cents", "mean absolute deviation of the last 32 amounts from their mean", _FIRST),
    Feature("seconds_since_last", "s", "log time since the customer's last transaction", _FIRST),
    Feature("distance_km", "km", "distance from the place of the customer's last transaction", _FIRST),
    Feature("seconds_between", "s", "client's clock since the last transaction, 0 if it went back", _FIRST),
    Feature("speed_kmh", "km/h", "distance by seconds_between (at least 1 s), at most 100,000", _FIRST),
    Feature("new_merchant", "0 or 1", "1 if the merchant is not among those of the last 32", _FIRST),
    Feature("small_permille", "permille", "share of the last 32 amounts that are below 500 cents", _FIRST),
    Feature(
        "habit_permille", "permille", "share of all earlier ones in the same 3 h of the solar day", _FIRST
    ),
    Feature("saturated", "0 or 1", "1 if all of the last 32 are within 1 h: there may have been more"),
)

MERCHANT = (
    Feature("merchant_count_1d", "transactions", "the merchant's transactions of the day before"),
    Feature("merchant_count_7d", "transactions", "the merchant's transactions of the 7 days before"),
    Feature("merchant_count_30d", "transactions", "the merchant's transactions of the 30 days before"),
    Feature("merchant_mean", "cents", "mean amount of the merchant's 30 days before", _NO_TRANSACTION),
    Feature("merchant_customers", "customers", "first visits to the merchant, over all days before"),
    Feature("merchant_fraud_permille_1d", "permille", "share labelled fraud, 8 days before", _NO_TRANSACTION),
    Feature(
        "merchant_fraud_permille_7d", "permille", "share labelled fraud, 14 to 8 days before", _NO_TRANSACTION
    ),
    Feature(
        "merchant_fraud_permille_30d",
        "permille",
        "share labelled fraud, 37 to 8 days before",
        _NO_TRANSACTION,
    ),
    Feature("merchant_days_since_first_fraud", "days", "since the first known fraud", "no known fraud"),
    Feature("merchant_days_since_last_fraud", "days", "since the last known fraud", "no known fraud"),
    Feature("merchant_frauds", "transactions", "known frauds at the merchant, at most 1,000,000"),
)

CUSTOMER_FEATURES = tuple(feature.name for feature in CUSTOMER)
MERCHANT_FEATURES = tuple(feature.name for feature in MERCHANT)
FEATURES = CUSTOMER_FEATURES + MERCHANT_FEATURES

#: Of the names and what they mean: a replica with another one takes every customer as unknown.
VERSION = "history-1"
