import os

import pytest

from vidd.processes.cpus import usable_cpus


@pytest.fixture(autouse=True)
def eight_processors(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))


def machine(root, groups: str, quotas: dict[str, str]):
    """A machine's `proc` and `sys`: the lines of /proc/self/cgroup, and files of control groups."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    for path, text in quotas.items():
        file = root / "sys/fs/cgroup" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_without_control_groups_the_affinity_counts(tmp_path, monkeypatch):
    assert usable_cpus(tmp_path) == 8
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: {3, 5})
    assert usable_cpus(tmp_path) == 2


@pytest.mark.parametrize(
    ("groups", "quotas", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "250000 100000\n"}, 2),
        ("0::/system.slice/vidd.service\n", {"system.slice/vidd.service/cpu.max": "300000 100000\n"}, 3),
        (
            "0::/system.slice/vidd.service\n",
            {"system.slice/vidd.service/cpu.max": "max 100000", "system.slice/cpu.max": "400000 100000"},
            4,
        ),
        ("0::/docker/0123\n", {"cpu.max": "500000 100000\n"}, 5),
        (
            "4:cpu,cpuacct:/a\n3:memory:/b\n",
            {"cpu/a/cpu.cfs_quota_us": "200000", "cpu/a/cpu.cfs_period_us": "100000"},
            2,
        ),
        ("4:cpu:/a\n", {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"}, 8),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "1600000 100000\n"}, 8),
        ("0::/\n", {"cpu.max": "nonsense\n"}, 8),
        ("0::/\n", {"cpu.max": "1 0\n"}, 8),
    ],
)
def test_a_quota_of_a_control_group_or_of_one_above_counts(tmp_path, groups, quotas, expected):
    assert usable_cpus(machine(tmp_path, groups, quotas)) == expected
