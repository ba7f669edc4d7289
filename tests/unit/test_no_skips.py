"""A run in which anything was skipped is a failed run, and says which test it was."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests import conftest, no_skips

WAYS = """
import unittest
import pytest

@pytest.fixture
def without_server(): pytest.skip("no server")

def test_good(): pass
def test_skip(): pytest.skip("later")
def test_importorskip(): pytest.importorskip("no_such_module")
@pytest.mark.skip(reason="marked")
def test_mark(): pass
@pytest.mark.skipif(True, reason="condition")
def test_condition(): pass
def test_fixture(without_server): pass
def test_unittest_skip(): raise unittest.SkipTest("old way")
class TestOldWay(unittest.TestCase):
    @unittest.skip("old mark")
    def test_old_mark(self): pass
@pytest.mark.xfail
def test_xfail(): assert False
def test_xfail_inside(): pytest.xfail("inside")
@pytest.mark.xfail(strict=False)
def test_xpass(): pass
@pytest.mark.xfail(run=False)
def test_xfail_not_run(): pass
@pytest.mark.parametrize("case", [])
def test_no_cases(case): pass
def test_subtest(subtests):
    with subtests.test(): pytest.skip("a part")
"""

FILE_SKIPS = 'import pytest; pytest.skip("no server", allow_module_level=True)'
FILE_IMPORTS = 'import pytest; pytest.importorskip("no_such_module")'


def outcome_of(to: Path, **files: str) -> subprocess.CompletedProcess[str]:
    """A run of pytest on files of tests under our hooks."""
    shutil.copy(no_skips.__file__, to / "conftest.py")
    for name, text in files.items():
        (to / f"{name}.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(to)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""}
    command += ["--continue-on-collection-errors", "."]
    return subprocess.run(command, cwd=to, env=environment, capture_output=True, text=True, check=False)


def test_every_way_to_skip_or_to_expect_a_failure_fails_and_is_named(tmp_path: Path) -> None:
    run = outcome_of(tmp_path, test_ways=WAYS, test_file_skips=FILE_SKIPS, test_file_imports=FILE_IMPORTS)
    assert run.returncode == 1
    names = [*re.findall(r"def (test_\w+)", WAYS), "test_file_skips.py", "test_file_imports.py"]
    said = set(re.findall(r"(test_\w+(?:\.py)?)(?:\[\w+\])? was skipped", run.stdout))
    assert said == set(names) - {"test_good"}
    assert not re.search("skipped|xfailed|xpassed", run.stdout.splitlines()[-1])


def test_a_run_without_skips_is_green(tmp_path: Path) -> None:
    assert outcome_of(tmp_path, test_ways="def test_good(): pass").returncode == 0


def test_every_test_of_ours_runs_under_these_hooks() -> None:
    for hook in ("pytest_runtest_makereport", "pytest_make_collect_report"):
        assert getattr(conftest, hook) is getattr(no_skips, hook)


def test_one_expected_failure_alone_fails_the_run(tmp_path: Path) -> None:
    alone = "import pytest\n@pytest.mark.xfail\ndef test_xfail(): assert False\n"
    assert outcome_of(tmp_path, test_ways=alone).returncode == 1
