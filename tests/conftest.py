"""Rules for all tests."""

import inspect
import os

import pytest
from peers import coverage_environment

from vidd.ports import Shared

pytest_plugins = ["peers.place"]

COSTLY = {"media", "daemon", "peer", "browser", "slow"}
MEASURED = tuple(
    f"tests/{place}"
    for place in (
        "cli/", "detection/", "integrations/analysis_results/", "integrations/datasets/", "integrations/feed/", "media/",
        "processes/", "steps/", "transcription/", "systems/test_annotation_example.py",
        *(
            f"daemon/test_{name}.py"
            for name in (
                "commands", "demo", "notify", "preflight", "programs", "reload", "rework", "run", "startup", "stop",
            )
        ),
    )
)  # fmt: skip
"""Where tests are about children, whose coverage counts."""
NEEDED = ("needs Debian package", "needs the test extra")


def pytest_collection_modifyitems(items):
    """Whatever has no mark of cost is fast: `pytest -m fast` runs it."""
    for item in items:
        if not COSTLY & {mark.name for mark in item.iter_markers()}:
            item.add_marker(pytest.mark.fast)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart():
    """Have the children of this process measured; pytest-cov begins no earlier where tests run side by side."""
    coverage_environment.pass_on()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item):
    """Measure the children of those tests only that are about them: a measured process takes half as long again."""
    with pytest.MonkeyPatch.context() as patch:
        if not item.nodeid.startswith(MEASURED):
            for name in [name for name in os.environ if name.startswith("COVERAGE_PROCESS_")]:
                patch.delenv(name)
        yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Where everything is said to be installed, a test that skips for a missing package has failed."""
    outcome = yield
    report = outcome.get_result()
    if os.environ.get("TESTS_COMPLETE") and report.skipped and any(one in str(report.longrepr) for one in NEEDED):
        report.outcome = "failed"
        report.longrepr = f"skipped where nothing may be missing: {report.longrepr}"


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    """Settings of whoever runs the tests must not reach them."""
    for name in [name for name in os.environ if name.startswith("VIDD_")]:
        monkeypatch.delenv(name)
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name in ("CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "AWS_PROFILE", "AWS_ACCESS_KEY_ID"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
async def _close_shared():
    """End the children, and close what else is shared, of every encoder that a test used."""
    used: dict[int, Shared] = {}
    get = Shared.get

    def remember(shared, kind):
        used[id(shared)] = shared
        return get(shared, kind)

    # A context of its own: a test may undo the fixture's patches.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Shared, "get", remember)
        yield
    for shared in used.values():
        await shared.close()


@pytest.fixture(autouse=True)
def _nothing_shared_is_left(request):
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("_close_shared")
