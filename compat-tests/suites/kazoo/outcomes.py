"""A pytest plugin: writes each test's outcome as a line of JSON as soon as it is known, so that a run cut short still counts."""

import json
import os


def pytest_runtest_logreport(report):
    if report.when == "call" or report.outcome != "passed":
        detail = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
        line = json.dumps([report.nodeid, report.when, report.outcome, detail])
        with open(os.environ["OUTCOMES"], "a") as outcomes:
            outcomes.write(line + "\n")
