"""A skip or an expected failure is a failure of the run, however it came about (tests/conftest.py takes the hooks).

pytest makes a report of each step of a test and of each file it collects, and every way to skip (`pytest.skip`,
`importorskip`, the marks, `unittest.SkipTest`, a skip in a fixture or at the top of a file) ends in one. The hooks
below are outermost: they see a report as pytest would count it, and turn it into a failure that names its reason.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TypeVar

import pytest

R = TypeVar("R", pytest.TestReport, pytest.CollectReport)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    return _failed_if_skipped(report)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    return _failed_if_skipped(report)


def _failed_if_skipped(report: R) -> R:
    reason = getattr(report, "wasxfail", None)  # also there when it passed against expectation
    if reason is not None:
        del report.wasxfail  # with it, pytest would not count the failure
    elif report.skipped:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    else:
        return report
    report.outcome = "failed"
    report.longrepr = f"{report.nodeid} was skipped or expected to fail, which counts as a failure: {reason}"
    return report
