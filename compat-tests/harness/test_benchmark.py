"""What `scripts/bench` computes from windows; the measuring itself is not a test's business."""

from harness import benchmark, report


def window(server: str, number: int, throughput: float, cpu: float = 10.0, **more) -> dict:
    return {
        "name": "get",
        "server": server,
        "round": number,
        "errors": 0,
        "throughput": throughput,
        "latency_us": {"p50": 100.0, "p99": 200.0, "p99.9": 300.0, "max": 400.0},
        "server_cpu_us_per_op": cpu,
        "server_rss_bytes": 3 * 2**20,
        "client_cpu_us_per_op": 0.5,
        "others_cores": 0.0,
        **more,
    }


WINDOWS = [
    *(window("apache", number, ops, 20.0) for number, ops in enumerate((100, 300, 110), 1)),
    *(window("zorilla", number, ops, 4.0) for number, ops in enumerate((450, 430, 440), 1)),
]


def test_the_median_is_not_moved_by_one_odd_window():
    medians = benchmark.medians(WINDOWS)["get"]
    assert medians["apache"]["throughput"] == 110
    assert (medians["apache"]["throughput_min"], medians["apache"]["throughput_max"]) == (100, 300)
    assert medians["zorilla"]["rss_mib"] == 3


def test_a_window_with_errors_counts_for_nothing_and_is_named():
    wrong = window("zorilla", 4, 9999, errors=2, first_error="Get: err -101")
    lost = {"name": "get", "server": "apache", "round": 4, "failure": "gone"}
    medians = benchmark.medians([*WINDOWS, wrong, lost])["get"]
    assert medians["zorilla"]["throughput_max"] == 450
    assert benchmark.failures([*WINDOWS, wrong, lost]) == [
        "get on zorilla, round 4: 2 errors, the first Get: err -101",
        "get on apache, round 4: gone",
    ]


def test_the_table_shows_ratios_to_apache():
    result = {"medians": benchmark.medians(WINDOWS), "plan": {"bytes_each": 1024, "rounds": 3}}
    lines = benchmark.table(result).splitlines()
    assert lines[0] == "get: 16 x 16, 1024 bytes"
    cells = lines[3].split()
    assert (cells[0], cells[1], cells[2], cells[7], cells[8]) == ("zorilla", "440", "4.00", "4.00", "0.20")


def test_without_apache_there_is_no_ratio():
    result = {"medians": benchmark.medians(WINDOWS[3:]), "plan": {"bytes_each": 1024, "rounds": 3}}
    assert benchmark.table(result).splitlines()[2].split()[2] == "-"


def test_a_noisy_machine_is_told():
    noisy = [window("apache", 1, 100, others_cores=1.5)]
    result = {"medians": benchmark.medians(noisy), "plan": {"bytes_each": 1024, "rounds": 1}}
    assert "up to 1.5 of its cores" in benchmark.table(result)
    assert "quiet" not in benchmark.table({**result, "medians": benchmark.medians(WINDOWS)})


def test_cpu_of_others_is_what_server_and_load_leave():
    before = benchmark.Cpu(wall=10, machine=100, server=50, loads=5)
    assert benchmark.Cpu(wall=20, machine=118, server=57, loads=9).others_since(before) == 0.7


def test_every_server_begins_a_round_and_all_take_part():
    kinds = ["apache", "zorilla", "limit"]
    orders = [benchmark.turns(kinds, number) for number in range(3)]
    assert [order[0] for order in orders] == kinds
    assert all(sorted(order) == sorted(kinds) for order in orders)


def test_a_warm_up_is_cut_into_short_runs():
    assert benchmark.warm_up_runs(15) == [5, 5, 5]
    assert benchmark.warm_up_runs(7) == [5, 2]
    assert benchmark.warm_up_runs(0) == []


def test_a_page_keeps_its_text_and_gets_new_figures(tmp_path):
    page = tmp_path / "performance.md"
    page.write_text(f"# Before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    machine = {"time": "2026-01-02T03", "cores": 2, "cpu": "a cpu", "kernel": "6", "java": "17"}
    plan = {"rounds": 3, "seconds": 5, "bytes_each": 1024, "java_flags": ["-Xmx1g"], "jit_seconds": 15}
    filled = {"million": {"apache": {"rss_mib": 800}, "zorilla": {"rss_mib": 200}}}
    report.write({"machine": machine, "plan": plan, "medians": benchmark.medians(WINDOWS), **filled}, page)
    text = page.read_text()
    assert text.startswith("# Before\n") and text.endswith("after\n") and "old" not in text
    assert "| get | zorilla | 440 | 4.00 |" in text and "| rss_mib | 800 | 200 |" in text
    plot = (tmp_path / "performance" / "throughput.svg").read_text()
    assert ">4.00</text>" in plot and ">get</text>" in plot
