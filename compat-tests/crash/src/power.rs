//! Power cuts: picks moments of a recording and legal states of the disk at them, and has each one opened.

use crate::Unusable;
use crate::arguments::Arguments;
use crate::disk::{Chance, Disk, Found};
use crate::history::History;
use crate::random::Random;
use crate::recover::{self, Opened, Shown};
use crate::trace::{Op, Step, Trace};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use zorilla_protocol::Zxid;

/// States that are looked at per moment.
const STATES_PER_MOMENT: usize = 6;
/// Longer than this, a start is taken to be endless.
const START_MAX: Duration = Duration::from_secs(120);
/// Failures that are reported in full.
const REPORTED_MAX: usize = 10;

/// How a state is picked out of the legal ones.
#[derive(Clone, Copy, Debug)]
enum Mode {
    /// All that was written.
    Keep,
    /// Only what was synced.
    Lose,
    /// Each by itself; percent kept of sectors, lengths, names.
    Mixed(u8, u8, u8),
    /// All but one.
    LoseOne(usize),
    /// One alone.
    KeepOne(usize),
    /// Names and lengths up to a moment, as a journal keeps them; sectors by themselves.
    Journal(usize, u8),
    /// Everything up to a moment, and half of what was under way then.
    Prefix(usize),
}

struct Dice {
    mode: Mode,
    random: Random,
    asked: usize,
}

impl Dice {
    fn one(&mut self, all: usize, this: usize, kept: bool) -> usize {
        self.asked += 1;
        if (self.asked - 1 == this) == kept { all } else { 0 }
    }

    /// How many of some changes are kept, if each may be the last.
    fn some(&mut self, all: usize, percent: u8) -> usize {
        if self.random.percent(percent) { all } else { self.random.below(all) }
    }

    fn pick(&mut self, began: &[usize], percent: u8, until: Option<usize>) -> usize {
        let all = began.len();
        if let Some(until) = until {
            return began.partition_point(|began| *began <= until);
        }
        match self.mode {
            Mode::Keep => all,
            Mode::Lose => 0,
            Mode::LoseOne(this) => self.one(all, this, false),
            Mode::KeepOne(this) => self.one(all, this, true),
            Mode::Mixed(..) | Mode::Journal(..) | Mode::Prefix(_) => self.some(all, percent),
        }
    }
}

impl Chance for Dice {
    fn name(&mut self, began: usize) -> bool {
        let (percent, until) = match self.mode {
            Mode::Mixed(_, _, names) => (names, None),
            Mode::Journal(until, _) | Mode::Prefix(until) => (0, Some(until)),
            _ => (0, None),
        };
        self.pick(&[began], percent, until) > 0
    }

    fn size(&mut self, began: &[usize]) -> usize {
        let (percent, until) = match self.mode {
            Mode::Mixed(_, sizes, _) => (sizes, None),
            Mode::Journal(until, _) | Mode::Prefix(until) => (0, Some(until)),
            _ => (0, None),
        };
        self.pick(began, percent, until)
    }

    fn sector(&mut self, began: &[usize]) -> usize {
        match self.mode {
            Mode::Mixed(sectors, _, _) | Mode::Journal(_, sectors) => self.pick(began, sectors, None),
            Mode::Prefix(until) => {
                let whole = began.partition_point(|began| *began < until);
                if self.random.percent(50) { self.pick(began, 0, Some(until)) } else { whole }
            }
            _ => self.pick(began, 0, None),
        }
    }
}

/// How many things are left to chance, and when they began.
#[derive(Default)]
struct Count {
    asked: usize,
    began: Vec<usize>,
}

impl Chance for Count {
    fn name(&mut self, began: usize) -> bool {
        self.asked += 1;
        self.began.push(began);
        true
    }
    fn size(&mut self, began: &[usize]) -> usize {
        self.asked += 1;
        self.began.extend_from_slice(began);
        began.len()
    }
    fn sector(&mut self, began: &[usize]) -> usize {
        self.asked += 1;
        began.len()
    }
}

/// One state to be opened.
struct Job {
    number: usize,
    at: usize,
    mode: Mode,
    found: Found,
    allowed: Arc<Vec<(Zxid, u64)>>,
}

/// What became of it.
struct Outcome {
    number: usize,
    at: usize,
    mode: Mode,
    floor: Zxid,
    last: Zxid,
    result: Result<Zxid, String>,
}

/// What is asked for.
struct Plan {
    root: PathBuf,
    data: PathBuf,
    log: PathBuf,
    work: PathBuf,
    keep: Option<PathBuf>,
    keep_every: usize,
    states: usize,
    seed: u64,
}

/// `power --trace F --root DIR --work DIR [--data P] [--log P] [--states N] [--seed S] [--jobs J] [--keep DIR]
/// [--keep-every N]`: one JSON object with the counts, and the failures.
pub fn run(arguments: &Arguments) -> Result<Value, Unusable> {
    let data: PathBuf = arguments.or("data", "data".into())?;
    let plan = Plan {
        root: arguments.path("root")?,
        log: arguments.or("log", data.clone())?,
        data,
        work: arguments.path("work")?,
        keep: arguments.maybe_path("keep"),
        keep_every: arguments.or("keep-every", usize::MAX)?,
        states: arguments.or("states", 300)?,
        seed: arguments.or("seed", 1)?,
    };
    let trace = Trace::read(&arguments.path("trace")?)?;
    let jobs = arguments.or("jobs", 2)?;
    std::fs::create_dir_all(&plan.work).map_err(Unusable::file(&plan.work))?;
    if let Some(keep) = &plan.keep {
        std::fs::create_dir_all(keep).map_err(Unusable::file(keep))?;
    }
    let plan = Arc::new(plan);
    let (work, todo) = sync_channel::<Job>(8);
    let todo = Arc::new(Mutex::new(todo));
    let (done, outcomes) = channel();
    let workers: Vec<_> = (0..jobs)
        .map(|number| {
            let (plan, todo, done) = (plan.clone(), todo.clone(), done.clone());
            thread::spawn(move || work_off(&plan, number, &todo, &done))
        })
        .collect();
    // When every worker is gone, so must be the other ends.
    drop((done, todo));
    let collector = thread::spawn(move || collect(&outcomes));
    let produced = produce(&plan, &trace, work);
    for worker in workers {
        worker.join().map_err(|_| Unusable::Text("a worker panicked".to_owned()))??;
    }
    let mut report = collector.join().map_err(|_| Unusable::Text("the collector panicked".to_owned()))?;
    let facts = produced?;
    for (key, value) in facts {
        report[key] = value;
    }
    Ok(report)
}

fn produce(plan: &Plan, trace: &Trace, work: SyncSender<Job>) -> Result<Vec<(&'static str, Value)>, Unusable> {
    let mut seen = HashSet::new();
    let mut rounds = 0;
    let mut facts = Vec::new();
    while seen.len() < plan.states && rounds < 40 {
        let mut random = Random(plan.seed.wrapping_mul(1000) + rounds);
        let moments = (plan.states - seen.len()).div_ceil(STATES_PER_MOMENT) * 5 / 4 + 1;
        let cuts = cuts(trace, moments, &mut random);
        facts = pass(plan, trace, &cuts, &mut random, &mut seen, &work)?;
        rounds += 1;
    }
    facts.push(("rounds", json!(rounds)));
    facts.push(("operations", json!(trace.operations.len())));
    Ok(facts)
}

/// One walk through the recording, stopping at the given moments.
fn pass(
    plan: &Plan,
    trace: &Trace,
    cuts: &BTreeMap<usize, usize>,
    random: &mut Random,
    seen: &mut HashSet<u64>,
    work: &SyncSender<Job>,
) -> Result<Vec<(&'static str, Value)>, Unusable> {
    let mut disk = Disk::new(&plan.root);
    let mut history = History::new()?;
    for at in 0..trace.steps.len() {
        disk.step(trace, at)?;
        history.step(trace, at, &disk)?;
        let Some(states) = cuts.get(&at) else { continue };
        let allowed = Arc::new(history.allowed());
        for _ in 0..*states {
            let mode = mode(&disk, random);
            let mut dice = Dice { mode, random: Random(random.bits()), asked: 0 };
            let found = disk.crashed(&mut dice);
            if seen.len() >= plan.states {
                return Ok(facts(&history));
            }
            // The same files, and clients that know as much: nothing new to see.
            if seen.insert(found.hash() ^ history.floor().0.cast_unsigned().wrapping_mul(0x9e37_79b9)) {
                let job = Job { number: seen.len(), at, mode, found, allowed: allowed.clone() };
                work.send(job).map_err(|_| Unusable::Text("every worker is gone".to_owned()))?;
            }
        }
    }
    Ok(facts(&history))
}

fn facts(history: &History) -> Vec<(&'static str, Value)> {
    vec![
        ("last_zxid", json!(history.last().0)),
        ("answers", json!(history.answers)),
        ("refusals", json!(history.refusals)),
        ("refused_after_logging", json!(history.refused)),
    ]
}

/// Moments, more often where names, lengths and syncs are at work than in the middle of long writes.
fn cuts(trace: &Trace, moments: usize, random: &mut Random) -> BTreeMap<usize, usize> {
    let mut weighted = Vec::new();
    for (at, step) in trace.steps.iter().enumerate() {
        let weight = match &trace.operations[step.operation()].op {
            Op::Rename { .. } | Op::Link { .. } | Op::Unlink { .. } | Op::Truncate { .. } | Op::Mkdir { .. } => 6,
            Op::Open { flags, .. } if flags & 0o100 != 0 => 6,
            Op::Sync => 3,
            Op::Write { .. } => 2,
            Op::Send { .. } if matches!(step, Step::Begin(_)) => 1,
            _ => 0,
        };
        weighted.extend(std::iter::repeat_n(at, weight));
    }
    let mut cuts = BTreeMap::new();
    for _ in 0..moments.min(weighted.len() * 100) {
        *cuts.entry(weighted[random.below(weighted.len())]).or_default() += STATES_PER_MOMENT;
    }
    cuts
}

fn mode(disk: &Disk, random: &mut Random) -> Mode {
    const CHANCES: [u8; 5] = [3, 30, 50, 80, 97];
    let chance = |random: &mut Random| CHANCES[random.below(CHANCES.len())];
    match random.below(12) {
        0 => Mode::Keep,
        1 => Mode::Lose,
        2..=5 => Mode::Mixed(chance(random), chance(random), chance(random)),
        choice => {
            let mut count = Count::default();
            disk.crashed(&mut count);
            let until = |random: &mut Random| count.began.get(random.below(count.began.len())).copied().unwrap_or(0);
            match choice {
                6 | 7 => Mode::LoseOne(random.below(count.asked)),
                8 => Mode::KeepOne(random.below(count.asked)),
                9 | 10 => Mode::Journal(until(random), chance(random)),
                _ => Mode::Prefix(until(random)),
            }
        }
    }
}

fn work_off(plan: &Plan, number: usize, todo: &Mutex<Receiver<Job>>, done: &Sender<Outcome>) -> Result<(), Unusable> {
    let dir = plan.work.join(format!("w{number}"));
    loop {
        let job = match todo.lock().map_err(|e| Unusable::Text(e.to_string()))?.recv() {
            Ok(job) => job,
            Err(_) => return Ok(()),
        };
        remove(&dir)?;
        job.found.write(&dir)?;
        let watch = Watch::start(format!("{:?} at step {} does not end", job.mode, job.at));
        let result = std::panic::catch_unwind(AssertUnwindSafe(|| judge(plan, &dir, &job)));
        drop(watch);
        let result = result.unwrap_or_else(|_| Err("a panic".to_owned()));
        keep(plan, &job, result.as_ref())?;
        let result = result.map(|shown| shown.last);
        let floor = job.allowed.first().map_or(Zxid::ZERO, |first| first.0);
        let last = job.allowed.last().map_or(Zxid::ZERO, |last| last.0);
        let outcome = Outcome { number: job.number, at: job.at, mode: job.mode, floor, last, result };
        // The collector outlives the workers.
        let _ = done.send(outcome);
        remove(&dir)?;
    }
}

/// Some states, and those that failed, are wanted for a closer look.
fn keep(plan: &Plan, job: &Job, result: Result<&Shown, &String>) -> Result<(), Unusable> {
    let kept = job.number.is_multiple_of(plan.keep_every) || result.is_err();
    let (true, Some(keep)) = (kept, &plan.keep) else { return Ok(()) };
    let to = keep.join(format!("{}-{}", if result.is_err() { "failed" } else { "state" }, job.number));
    remove(&to)?;
    job.found.write(&to)?;
    if let Ok(shown) = result {
        let description = json!({ "last": shown.last.0, "znodes": shown.described() });
        let file = to.with_extension("json");
        std::fs::write(&file, description.to_string()).map_err(Unusable::file(&file))?;
    }
    Ok(())
}

fn remove(dir: &Path) -> Result<(), Unusable> {
    match std::fs::remove_dir_all(dir) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Unusable::File(dir.to_owned(), e)),
        _ => Ok(()),
    }
}

/// Opens a state; what is wrong with it, if anything.
fn judge(plan: &Plan, dir: &Path, job: &Job) -> Result<Shown, String> {
    let config = recover::config(&dir.join(&plan.data), &dir.join(&plan.log))?;
    let mut opened = Opened::open(&config).map_err(|why| format!("does not start: {why}"))?;
    let shown = opened.shown()?;
    compare(&job.allowed, &shown)?;
    // What was found has to be found again, and be something to go on from.
    let expected = if job.number.is_multiple_of(10) {
        let next = opened.go_on(job.number.is_multiple_of(20))?;
        (next.last, next.hash)
    } else {
        drop(opened);
        (shown.last, shown.hash)
    };
    if job.number.is_multiple_of(5) {
        let again = Opened::open(&config).map_err(|why| format!("does not start again: {why}"))?.shown()?;
        if (again.last, again.hash) != expected {
            return Err(format!("the second start shows {}, not {}", again.last, expected.0));
        }
    }
    Ok(shown)
}

fn compare(allowed: &[(Zxid, u64)], shown: &Shown) -> Result<(), String> {
    let (Some(floor), Some(last)) = (allowed.first(), allowed.last()) else { return Ok(()) };
    if shown.last < floor.0 {
        return Err(format!("clients know of {}, and the last txn found is {}", floor.0, shown.last));
    }
    match allowed.iter().find(|(zxid, _)| *zxid == shown.last) {
        None => Err(format!("{} is found, and {} was the last that may be there", shown.last, last.0)),
        Some((zxid, hash)) if *hash != shown.hash => Err(format!("the tree at {zxid} is not what it was")),
        Some(_) => Ok(()),
    }
}

/// Ends the process if a start does not: there is no other way out of an endless loop.
struct Watch {
    /// Dropped with it.
    _stop: Sender<()>,
}

impl Watch {
    fn start(what: String) -> Watch {
        let (stop, stopped) = channel::<()>();
        thread::spawn(move || {
            if stopped.recv_timeout(START_MAX) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                eprintln!("{what}");
                std::process::exit(3);
            }
        });
        Watch { _stop: stop }
    }
}

fn collect(outcomes: &Receiver<Outcome>) -> Value {
    let (mut checked, mut behind_floor) = (0usize, 0usize);
    let mut modes = BTreeMap::<String, usize>::new();
    let mut failures = Vec::new();
    let mut failed = 0usize;
    for outcome in outcomes {
        checked += 1;
        let mode = format!("{:?}", outcome.mode);
        *modes.entry(mode.split('(').next().unwrap_or_default().to_owned()).or_default() += 1;
        match outcome.result {
            Ok(last) => behind_floor += usize::from(last > outcome.floor),
            Err(why) => {
                failed += 1;
                if failures.len() < REPORTED_MAX {
                    failures.push(json!({
                        "state": outcome.number, "step": outcome.at, "mode": mode, "floor": outcome.floor.0,
                        "logged": outcome.last.0, "why": why,
                    }));
                }
            }
        }
        if checked.is_multiple_of(2000) {
            eprintln!("{checked} states, {failed} failed");
        }
    }
    json!({
        "states": checked, "failed": failed, "with_unacknowledged": behind_floor, "modes": modes, "failures": failures,
    })
}
