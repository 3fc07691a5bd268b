#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Runs every suite and sums it: host tests (cmocka programs), checks, tests of the tools, system tests (pytest, Bochs).

A program that crashes or a suite that runs no test counts as failed. The last line is "N passed, N failed"; the exit
status is 0 only if nothing failed.
"""
import argparse
import concurrent.futures
import glob
import os
import re
import subprocess
import sys
import time
import xml.etree.ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.join(ROOT, "build")
HOST_SECONDS = 600
# The long tests run at full length with gcc; clang's build repeats a part of them, from another seed.
CLANG_ENVIRONMENT = {"SPOOR_STEPS": "100000", "SPOOR_OPS": "100000", "SPOOR_SEED": "1000003", "SPOOR_PART": "1/5"}


class Result:
    def __init__(self, name, passed, failed, seconds, said=""):
        self.name, self.passed, self.failed, self.seconds, self.said = name, passed, failed, seconds, said

    def show(self):
        if self.failed:
            print(self.said.rstrip())
        print(f"  {self.name:<52} {self.passed:>4} passed {self.failed:>3} failed {self.seconds:>7.1f} s", flush=True)


def count_tap(text):
    """(planned, passed, failed) of what cmocka printed; a group that died early has planned more than it ran."""
    planned = sum(int(n) for n in re.findall(r"^1\.\.(\d+)", text, re.MULTILINE))
    passed = len(re.findall(r"^ok \d+", text, re.MULTILINE))
    failed = len(re.findall(r"^not ok \d+", text, re.MULTILINE))
    return planned, passed, failed


def host_program(path):
    """Runs one cmocka program."""
    compiler = os.path.basename(os.path.dirname(path)).split("-", 1)[1]
    name = f"{os.path.basename(path)} ({compiler})"
    environment = dict(os.environ, CMOCKA_MESSAGE_OUTPUT="TAP")
    if compiler == "clang":
        environment.update(CLANG_ENVIRONMENT)
    started = time.monotonic()
    try:
        done = subprocess.run([path], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=HOST_SECONDS, check=False)
        said, status = done.stdout.decode("utf-8", "replace"), done.returncode
    except subprocess.TimeoutExpired as late:
        said, status = (late.stdout or b"").decode("utf-8", "replace") + f"\n{name}: no end in {HOST_SECONDS} s", -1
    planned, passed, failed = count_tap(said)
    failed = max(failed, planned - passed)
    if failed == 0 and (status != 0 or passed == 0):
        failed = 1
        said += f"\n{name}: ended with status {status} after {passed} tests"
    return Result(name, passed, failed, time.monotonic() - started, said)


def host_tests():
    """One program for each tests/host/test_*.c and compiler; one that was not built counts as failed."""
    sources = sorted(glob.glob(os.path.join(ROOT, "tests/host/test_*.c")))
    names = [os.path.basename(source)[:-2] for source in sources]
    programs = [os.path.join(BUILD, f"host-{compiler}", name) for compiler in ("gcc", "clang") for name in names]
    present = [p for p in programs if os.path.exists(p)]
    results = [Result(os.path.relpath(p, BUILD), 0, 1, 0, f"{p}: was not built") for p in programs if p not in present]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for result in pool.map(host_program, present):
            result.show()
            results.append(result)
    return results or [Result("host tests", 0, 1, 0, "no host test was found")]


def command(name, arguments):
    """A check that passes or fails as one test."""
    started = time.monotonic()
    done = subprocess.run(arguments, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    failed = int(done.returncode != 0)
    result = Result(name, 1 - failed, failed, time.monotonic() - started, done.stdout + done.stderr)
    result.show()
    return result


def fuzz_corpora():
    """Each fuzz target once over the inputs that are kept of it."""
    results = []
    for source in sorted(glob.glob(os.path.join(ROOT, "tests/fuzz/fuzz_*.c"))):
        name = os.path.basename(source)[:-2]
        program, corpus = os.path.join(BUILD, "fuzz", name), os.path.join(ROOT, "tests/fuzz/corpus", name)
        if os.path.exists(program) and glob.glob(os.path.join(corpus, "*")):
            results.append(command(f"{name} over its corpus", [program, "-runs=0", corpus]))
        else:
            results.append(Result(name, 0, 1, 0, f"{name}: was not built, or no input of it is kept"))
            results[-1].show()
    return results


def count_junit(path):
    """(passed, failed, skipped) of a pytest run."""
    passed = failed = skipped = 0
    for case in xml.etree.ElementTree.parse(path).iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed += 1
        elif case.find("skipped") is not None:
            skipped += 1
        else:
            passed += 1
    return passed, failed, skipped


def pytest_suite(name, arguments):
    """What pytest says goes straight to the terminal, as it happens."""
    report = os.path.join(BUILD, name.split()[0] + ".xml")
    if os.path.exists(report):
        os.unlink(report)
    started = time.monotonic()
    # Isolated from whatever pytest plugins this machine has.
    environment = dict(os.environ, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", PYTHONDONTWRITEBYTECODE="1")
    status = subprocess.run(["/usr/bin/python3", "-m", "pytest", "-p", "no:cacheprovider", "--tb=short",
                             f"--junitxml={report}", *arguments],
                            cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, check=False).returncode
    passed, failed, skipped = count_junit(report) if os.path.exists(report) else (0, 0, 0)
    if failed == 0 and (status != 0 or passed == 0):
        failed = 1
    if skipped:
        print(f"  ({skipped} left to `make test-all`)")
    result = Result(name, passed, failed, time.monotonic() - started, f"pytest ended with status {status}")
    result.show()
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--all", action="store_true", help="the long system tests too")
    parser.add_argument("--host", action="store_true", help="host tests and checks only")
    parser.add_argument("--system", action="store_true", help="system tests only")
    parser.add_argument("pytest", nargs="*", help="passed to pytest, such as -k linux")
    options, rest = parser.parse_known_args()

    results = []
    if not options.system:
        print("Host tests", flush=True)
        results += host_tests()
        print("Checks", flush=True)
        results.append(command("layers", ["/usr/bin/python3", "tools/check-layers"]))
        results.append(command("every header alone", ["sh", "tools/check-headers"]))
        if options.all:
            print("Fuzz targets", flush=True)
            results += fuzz_corpora()
        print("Host tools", flush=True)
        results.append(pytest_suite("tools tests", ["-q", "tests/tools"]))
    if not options.host:
        print("System tests", flush=True)
        everything = ["--all"] if options.all else []
        results.append(pytest_suite("system tests", ["-v", *everything, "tests/system", *rest, *options.pytest]))
    bad = [result.name for result in results if result.failed]
    if bad:
        print("failed: " + ", ".join(bad))
    passed, failed = sum(r.passed for r in results), sum(r.failed for r in results)
    print(f"{sum(r.seconds for r in results):.0f} s of tests")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
