//! A load generator for ZooKeeper servers: one thread, raw pipelined requests, every reply checked.
//!
//! `options` say what to run; a `fleet` of `session`s carries out a plan (`steady`, `bulk`, `opening`,
//! `fanout`) made of `ops`; a `tally` of `histogram` and `process` readings becomes the report.

pub mod bulk;
pub mod failure;
pub mod fanout;
pub mod fleet;
pub mod histogram;
pub mod opening;
pub mod ops;
pub mod options;
pub mod process;
pub mod session;
pub mod steady;
pub mod tally;
pub mod wire;

use serde_json::{Value, json};

use bulk::Bulk;
use failure::Failure;
use fanout::Fanout;
use fleet::Fleet;
use ops::{FIRST_CREATE_DIR, Names};
use options::{Options, Workload};
use steady::{Mix, Steady};
use tally::Tally;

/// Makes the paths that are loaded 60 bytes long.
const LOADED_SUFFIX: &str = "-of-many1";

/// Runs what the options say. The report is complete even when its `errors` are not 0.
pub fn run(options: &Options) -> Result<Value, Failure> {
    let mut root = root();
    if options.workload == Workload::Load {
        root.push_str(LOADED_SUFFIX);
    }
    let names = Names::new(&root, options.connections, options.keys, options.bytes);
    let mut report = match options.workload {
        Workload::Steady(mix) => steady(options, &names, mix)?,
        Workload::Fanout => fanout(options, &names)?,
        Workload::Sessions => sessions(options, &names)?,
        Workload::Load => load(options, &names)?,
    };
    report["workload"] = json!(options.name);
    report["connections"] = json!(options.connections);
    report["outstanding"] = json!(options.outstanding);
    report["bytes"] = json!(options.bytes);
    Ok(report)
}

/// A root that no other run has, of one length in all of them.
fn root() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("/zkload-{:08x}-{:016x}", std::process::id(), now.as_nanos() as u64)
}

fn steady(options: &Options, names: &Names, mix: Mix) -> Result<Value, Failure> {
    let connections = options.connections as usize;
    with_prepared(options, names, |created| {
        let mut fleet = Fleet::open(names, options.address, connections)?;
        let seconds = (options.warmup, options.seconds);
        let tally = Tally::new(options.pid);
        let mut plan = Steady::new(mix, connections, options.outstanding, options.keys, seconds, tally);
        fleet.run(&mut plan)?;
        fleet.close()?;
        created.extend_from_slice(plan.created());
        Ok(plan.into_tally().report())
    })
}

fn fanout(options: &Options, names: &Names) -> Result<Value, Failure> {
    with_prepared(options, names, |_| {
        let mut fleet = Fleet::open(names, options.address, options.sessions + 1)?;
        let tally = Tally::new(options.pid);
        let plan = Fanout::new(options.sessions, options.keys, options.outstanding, tally);
        let result = plan.measured(&mut fleet, options.warmup, options.seconds)?;
        fleet.close()?;
        let mut report = result.tally.report();
        report["throughput"] = json!(result.events_per_second.round());
        report["watches_per_second"] = json!(result.watches_per_second.round());
        report["sessions"] = json!(options.sessions);
        report["keys"] = json!(options.keys);
        Ok(report)
    })
}

fn sessions(options: &Options, names: &Names) -> Result<Value, Failure> {
    with_prepared(options, names, |_| {
        let mut fleet = Fleet::new(names, options.address)?;
        let tally = Tally::new(options.pid);
        let tally = opening::open_sessions(&mut fleet, options.sessions, options.connections as usize, tally)?;
        fleet.close()?;
        Ok(tally.report())
    })
}

/// Unlike the others this leaves its znodes, spread over a parent per connection: it is what fills a
/// server for another measurement.
fn load(options: &Options, names: &Names) -> Result<Value, Failure> {
    let mut fleet = Fleet::open(names, options.address, 1)?;
    bulk::prepare(&mut fleet, names, 0)?;
    fleet.close()?;
    let mut fleet = Fleet::open(names, options.address, options.connections as usize)?;
    let (dirs, batch) = (options.connections, names.batch());
    let batches = (0..dirs).flat_map(|dir| {
        let share = options.keys / dirs + u32::from(dir < options.keys % dirs);
        bulk::create_batches(FIRST_CREATE_DIR + dir, share, batch)
    });
    let tally = Bulk::new(batches, options.outstanding, Tally::new(options.pid)).measured(&mut fleet)?;
    fleet.close()?;
    Ok(tally.report())
}

/// Prepares the run's znodes, lets `body` run and say how many it created under each parent, and
/// deletes them all.
fn with_prepared(
    options: &Options,
    names: &Names,
    body: impl FnOnce(&mut Vec<u32>) -> Result<Value, Failure>,
) -> Result<Value, Failure> {
    let mut fleet = Fleet::open(names, options.address, 1)?;
    bulk::prepare(&mut fleet, names, names.keys)?;
    fleet.close()?;
    let mut created = Vec::new();
    let report = body(&mut created)?;
    let mut fleet = Fleet::open(names, options.address, 1)?;
    bulk::clean_up(&mut fleet, names, &created)?;
    fleet.close()?;
    Ok(report)
}
