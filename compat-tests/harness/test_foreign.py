"""The runner of the foreign suites, on a suite that exists only here."""

from types import SimpleNamespace

import pytest

from harness import foreign
from harness.foreign import FAILED, PASSED, SKIPPED_ITSELF, Outcome
from suites import rust


def suite(results: dict[str, list[str]], kinds: dict[str, list[str]] | None = None):
    """A suite whose tests end as told, run after run; `kinds` overrides them for one kind of server."""
    asked = []

    def run(kind, selection, timeout_seconds):
        asked.append((kind, list(selection)))
        told = results if kind == "zorilla" else (kinds or results)
        endings = {test: told[test].pop(0) if len(told[test]) > 1 else told[test][0] for test in selection}
        return [Outcome(test, ending) for test, ending in endings.items() if ending != "silent"]

    return SimpleNamespace(
        __doc__="A suite 1.0.\n\nMore.", __name__="fake", asked=asked, prepare=lambda: None, tests=lambda: list(results), run=run, QUICK=["a*"]
    )


@pytest.fixture
def runner(monkeypatch, tmp_path):
    def run(fake, kinds=("zorilla",), whole=True, only=(), skips=""):
        path = tmp_path / "skipped.toml"
        path.write_text(skips)
        monkeypatch.setattr(foreign, "load", lambda _name: fake)
        monkeypatch.setattr(foreign, "SKIPPED", path)
        return foreign.run("fake", list(kinds), whole, list(only), lambda _line: None)

    return run


def test_what_zorilla_alone_fails_is_a_finding(runner):
    fake = suite({"a1": [FAILED], "a2": [PASSED]}, {"a1": [PASSED], "a2": [PASSED]})
    report = runner(fake)
    assert [outcome.test_id for outcome in report.findings()] == ["a1"]
    assert report.counts["zorilla"].passed == ["a2"]
    assert fake.asked == [("zorilla", ["a1", "a2"]), ("zorilla", ["a1"]), ("apache", ["a1"])]


def test_what_apache_fails_too_is_none(runner):
    report = runner(suite({"a1": [FAILED]}))
    assert report.fails_at_apache_too == ["a1"] and report.findings() == []
    both = runner(suite({"a1": [FAILED]}), kinds=("zorilla", "apache"))
    assert both.fails_at_apache_too == ["a1"] and both.findings() == []


def test_a_failure_that_passes_alone_is_flaky(runner):
    report = runner(suite({"a1": [FAILED, PASSED]}))
    assert [outcome.test_id for outcome in report.counts["zorilla"].flaky] == ["a1"]
    assert report.findings() == []


def test_silence_is_a_failure(runner):
    report = runner(suite({"a1": ["silent"]}, {"a1": [PASSED]}))
    assert [outcome.test_id for outcome in report.findings()] == ["a1"]


def test_skips_of_both_kinds(runner):
    skips = '[fake]\n"a1" = "neither"\n[fake-zorilla]\n"a[x]*" = "not here"\n'
    fake = suite({"a1": [PASSED], "a[x]y": [PASSED], "a3": [SKIPPED_ITSELF]})
    report = runner(fake, kinds=("zorilla", "apache"), skips=skips)
    assert report.counts["zorilla"].skipped == {"a1": "neither", "a[x]y": "not here", "a3": "skipped by the test"}
    assert report.counts["apache"].skipped == {"a1": "neither", "a3": "skipped by the test"}
    assert report.counts["apache"].passed == ["a[x]y"]


def test_an_entry_that_names_no_test_breaks_the_run(runner):
    with pytest.raises(foreign.SuiteError, match="gone"):
        runner(suite({"a1": [PASSED]}), skips='[fake-zorilla]\n"gone" = "why"\n')


def test_the_quick_selection(runner):
    fake = suite({"a1": [PASSED], "b1": [PASSED]})
    report = runner(fake, whole=False)
    assert (report.selected, report.total, report.counts["zorilla"].passed) == (1, 2, ["a1"])
    assert "| A suite 1.0 | 1 of 2 | 1 | 0 | 0 | 0 |" in foreign.table([report], ["zorilla"])
    with pytest.raises(foreign.SuiteError, match="no test"):
        runner(suite({"b1": [PASSED]}), whole=False)


def test_every_suite_has_what_the_runner_calls():
    for name in foreign.names():
        module = foreign.load(name)
        assert all(callable(getattr(module, verb)) for verb in ("prepare", "tests", "run")), name
        assert module.QUICK and foreign.title(module), name


def test_every_section_belongs_to_a_suite():
    known = {"wire", *foreign.names()}
    assert {section.removesuffix("-zorilla") for section in foreign.Skips().sections} <= known


def test_a_test_that_ends_the_process_costs_only_itself():
    asked = []

    def once(left, _seconds):
        asked.append(list(left))
        return [Outcome(test, PASSED) for test in (left[: left.index("b")] if "b" in left else left)]

    outcomes = foreign.in_pieces(once, ["a", "b", "c"], 60)
    assert [(outcome.test_id, outcome.result) for outcome in outcomes] == [("a", PASSED), ("b", FAILED), ("c", PASSED)]
    assert asked == [["a", "b", "c"], ["c"]]


def test_the_verdict_of_a_rust_test_is_its_exit_code(tmp_path):
    def ending(script: str, seconds: float = 60.0) -> str:
        return rust.alone("a", ["sh", "-c", script], seconds, tmp_path, {}).result

    # Where the log of another thread came between the name and the verdict.
    assert ending("echo 'test a ... DEBUG line'; echo ok") == PASSED
    assert ending("echo 'test a ... DEBUG line'; echo FAILED; exit 101") == FAILED
    assert ending("echo 'test result: ok. 0 passed; 0 failed; 1 ignored; 0 measured'") == SKIPPED_ITSELF
    assert ending("kill -ABRT $$") == FAILED
    assert ending("sleep 60", 0.1) == FAILED
    assert ending("true", 0.0) == FAILED
