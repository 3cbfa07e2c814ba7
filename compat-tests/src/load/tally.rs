//! What was counted in the measured window, and the line that reports it.

use serde_json::{Value, json};

use super::failure::Failure;
use super::histogram::Histogram;
use super::ops::Op;
use super::process::Usage;

/// Counts and latencies between [`Tally::start`] and [`Tally::stop`]; errors count at any time.
#[derive(Default)]
pub struct Tally {
    pid: Option<u32>,
    latencies: Histogram,
    count: u64,
    errors: u64,
    first_error: Option<String>,
    started: Option<Mark>,
    stopped: Option<Mark>,
}

/// The state of things at one end of the window.
#[derive(Clone, Copy)]
struct Mark {
    at_ns: u64,
    server: Option<Usage>,
    own: Usage,
}

impl Tally {
    /// A tally that also watches process `pid`.
    pub fn new(pid: Option<u32>) -> Self {
        Self { pid, ..Self::default() }
    }

    fn mark(&self, at_ns: u64) -> Result<Option<Mark>, Failure> {
        let server = self.pid.map(Usage::of).transpose()?;
        Ok(Some(Mark { at_ns, server, own: Usage::own()? }))
    }

    /// Opens the window.
    pub fn start(&mut self, now_ns: u64) -> Result<(), Failure> {
        self.started = self.mark(now_ns)?;
        Ok(())
    }

    /// Closes it; a second call changes nothing.
    pub fn stop(&mut self, now_ns: u64) -> Result<(), Failure> {
        if self.stopped.is_none() {
            self.stopped = self.mark(now_ns)?;
        }
        Ok(())
    }

    /// Whether the window is open.
    pub fn is_measuring(&self) -> bool {
        self.started.is_some() && self.stopped.is_none()
    }

    /// Notes a reply.
    pub fn reply(&mut self, op: Op, err: i32, latency_ns: u64) {
        if err != 0 {
            self.errors += 1;
            self.first_error.get_or_insert_with(|| format!("{op:?}: err {err}"));
        } else if self.is_measuring() {
            self.count += op.weight();
            self.latencies.record(latency_ns);
        }
    }

    /// Notes something that is not a reply, such as an event.
    pub fn other(&mut self, latency_ns: u64) {
        if self.is_measuring() {
            self.count += 1;
            self.latencies.record(latency_ns);
        }
    }

    /// What was counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Replies with an error code.
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// The report. Latencies are microseconds; CPU is user plus system time of all threads.
    pub fn report(&self) -> Value {
        let (Some(started), Some(stopped)) = (self.started, self.stopped) else {
            return json!({ "count": 0, "errors": self.errors, "first_error": self.first_error });
        };
        let seconds = (stopped.at_ns - started.at_ns) as f64 / 1e9;
        let per_op = |us: u64| round(us as f64 / self.count.max(1) as f64);
        let us = |nanos: u64| round(nanos as f64 / 1e3);
        let quantile = |q: f64| us(self.latencies.quantile(q));
        let server_cpu_us = started.server.zip(stopped.server).map(|(start, stop)| stop.cpu_us - start.cpu_us);
        json!({
            "seconds": round(seconds),
            "count": self.count,
            "throughput": round(self.count as f64 / seconds),
            "errors": self.errors,
            "first_error": self.first_error,
            "latency_us": {
                "mean": us(self.latencies.mean()),
                "p50": quantile(0.5),
                "p99": quantile(0.99),
                "p99.9": quantile(0.999),
                "max": us(self.latencies.max()),
            },
            "server_cpu_us_per_op": server_cpu_us.map(per_op),
            "server_rss_bytes": stopped.server.map(|usage| usage.resident_bytes),
            "client_cpu_us_per_op": per_op(stopped.own.cpu_us - started.own.cpu_us),
        })
    }
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_replies_inside_the_window_count_but_errors_always_do() {
        let mut tally = Tally::new(Some(std::process::id()));
        let op = Op::Set { key: 1 };
        tally.reply(op, 0, 1000);
        tally.reply(op, -101, 1000);
        tally.start(1_000_000_000).unwrap();
        (0..10).for_each(|_| tally.reply(op, 0, 2_000));
        tally.reply(Op::CreateBatch { dir: 2, number: 0, count: 30 }, 0, 2_000);
        tally.stop(3_000_000_000).unwrap();
        tally.reply(op, 0, 9000);
        tally.reply(op, -4, 9000);
        let report = tally.report();
        assert_eq!(report["count"], 40);
        assert_eq!(report["throughput"], 20.0);
        assert_eq!(report["errors"], 2);
        assert_eq!(report["first_error"], "Set { key: 1 }: err -101");
        assert_eq!(report["latency_us"]["p99.9"], 2.0);
        assert!(report["server_rss_bytes"].as_u64().unwrap() > 100_000);
    }
}
