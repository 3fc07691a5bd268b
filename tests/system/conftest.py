# SPDX-License-Identifier: GPL-2.0-only
"""The fixture `boot`, and what is shown when a test fails."""
import os
import re

import pytest

import machine


def pytest_addoption(parser):
    parser.addoption("--all", action="store_true", help="the long tests too")


def pytest_configure(config):
    config.addinivalue_line("markers", "long: left to `make test-all`")


def pytest_collection_modifyitems(config, items):
    if not config.getoption("--all"):
        for item in items:
            if "long" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="long: make test-all"))


def pytest_terminal_summary(terminalreporter):
    table = os.path.join(machine.BUILD, "models.txt")
    if any("test_models.py" in report.nodeid for report in terminalreporter.getreports("passed")) and os.path.exists(table):
        with open(table, encoding="utf-8") as f:
            terminalreporter.section("CPU models")
            terminalreporter.write(f.read())


@pytest.fixture
def boot(request):
    """boot(modules, options, ...) starts a machine for this test and stops it at the test's end."""
    machines = []
    name = re.sub(r"[^A-Za-z0-9_]+", "-", request.node.name).strip("-")

    def start(modules, options="", **how):
        directory = os.path.join(machine.BUILD, "system", name + (f"-{len(machines)}" if machines else ""))
        m = machine.Machine(directory, modules, options, **how)
        machines.append(m)
        return m

    request.node.machines = machines
    yield start
    for m in machines:
        m.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        for m in getattr(item, "machines", []):
            if m.running:
                m.log.flush()
            serial, emulator = m.diagnosis()
            report.sections += [("end of the serial line", serial), ("end of the emulator's log", emulator)]
