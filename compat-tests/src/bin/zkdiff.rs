//! `zkdiff`: random histories on two servers; see `--help`. `scripts/diff` starts the servers.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use zorilla_compat_tests::diff::explain::Rule;
use zorilla_compat_tests::diff::generate;
use zorilla_compat_tests::diff::history::History;
use zorilla_compat_tests::diff::ops;
use zorilla_compat_tests::diff::run::{Broken, Difference, Pair};
use zorilla_compat_tests::diff::shrink::{fenced, shrink};

const HELP: &str = "\
zkdiff TESTED REFERENCE [options]      host:port each; both freshly started, or equally used
  --profile NAME      what the servers are configured as (default: full)
  --requests N        play random histories of at least this many requests in all (default: 10000)
  --seed S            of the first history; the following count up (default: 1)
  --length N          requests of a history, about (default: 800)
  --fence             one request at a time, nothing pipelined
  --failures N        differences after which to stop (default: 5)
  --replay FILE       play this history instead; may be repeated
  --differences FILE  JSON: the differences that are meant
  --out DIR           where failing histories go, as DIR/PROFILE-SEED.json (default: .)
Progress goes to standard error, a JSON summary to standard output. Exit code 1: a difference; 2: arguments; 3: a
server is gone.";

const PROGRESS: Duration = Duration::from_secs(5);

struct Options {
    servers: Vec<SocketAddr>,
    profile: String,
    requests: usize,
    seed: u64,
    length: usize,
    fence: bool,
    failures: usize,
    replay: Vec<PathBuf>,
    rules: Vec<Rule>,
    out: PathBuf,
}

fn main() -> ExitCode {
    let options = match parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(message) => {
            eprintln!("{message}");
            return ExitCode::from(2);
        }
    };
    match run(options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(broken) => {
            eprintln!("zkdiff: {broken}");
            ExitCode::from(3)
        }
    }
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        servers: Vec::new(),
        profile: "full".into(),
        requests: 10_000,
        seed: 1,
        length: 800,
        fence: false,
        failures: 5,
        replay: Vec::new(),
        rules: Vec::new(),
        out: ".".into(),
    };
    while let Some(argument) = arguments.next() {
        if !argument.starts_with("--") {
            options.servers.push(argument.parse().map_err(|_| format!("not host:port: {argument}"))?);
            continue;
        }
        if argument == "--fence" {
            options.fence = true;
            continue;
        }
        let value = arguments.next().ok_or(HELP)?;
        let number = || value.parse().map_err(|_| format!("{argument}: not a number: {value}"));
        match argument.as_str() {
            "--profile" => options.profile = value,
            "--requests" => options.requests = number()? as usize,
            "--seed" => options.seed = number()?,
            "--length" => options.length = number()? as usize,
            "--failures" => options.failures = number()? as usize,
            "--replay" => options.replay.push(value.into()),
            "--out" => options.out = value.into(),
            "--differences" => options.rules = read(Path::new(&value))?,
            _ => return Err(HELP.into()),
        }
    }
    if options.servers.len() == 2 { Ok(options) } else { Err(HELP.into()) }
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))
}

fn run(options: Options) -> Result<bool, Broken> {
    let pair = Pair::connect(options.servers[0], options.servers[1], options.rules)?;
    let mut session = Session {
        pair,
        profile: options.profile,
        out: options.out,
        began: Instant::now(),
        shown: Instant::now(),
        failures: Vec::new(),
        unsteady: Vec::new(),
    };
    if options.replay.is_empty() {
        let mut seed = options.seed;
        while session.pair.tally.requests < options.requests && session.failures.len() < options.failures {
            let mut history = generate::history(&session.profile, seed, options.length);
            if options.fence {
                history.steps = fenced(&history.steps);
            }
            session.play(&history)?;
            seed += 1;
        }
    }
    for path in &options.replay {
        let history: History = read(path).map_err(Broken)?;
        session.replay(path, &history)?;
    }
    session.progress();
    println!(
        "{}",
        serde_json::json!({
            "ops": ops::ALL.iter().map(|(_, name)| name).collect::<Vec<_>>(),
            "tally": session.pair.tally,
            "failures": session.failures,
            "unsteady": session.unsteady,
            "seconds": session.began.elapsed().as_secs_f64(),
        })
    );
    Ok(session.failures.is_empty() && session.unsteady.is_empty())
}

struct Session {
    pair: Pair,
    profile: String,
    out: PathBuf,
    began: Instant,
    shown: Instant,
    /// Files of histories that failed.
    failures: Vec<String>,
    /// Files of histories that failed once and passed the second time.
    unsteady: Vec<String>,
}

impl Session {
    fn play(&mut self, history: &History) -> Result<(), Broken> {
        self.pair.tally.histories += 1;
        if let Some(difference) = self.pair.play(history)? {
            self.failed(history, difference)?;
        }
        if self.shown.elapsed() > PROGRESS {
            self.progress();
        }
        Ok(())
    }

    fn replay(&mut self, path: &Path, history: &History) -> Result<(), Broken> {
        self.pair.tally.histories += 1;
        if let Some(difference) = self.pair.play(history)? {
            eprintln!("{}: {}", path.display(), difference.text);
            self.failures.push(path.display().to_string());
        }
        Ok(())
    }

    fn failed(&mut self, history: &History, first: Difference) -> Result<(), Broken> {
        eprintln!("seed {}: step {} of {}: {}", history.seed, first.step, history.steps.len(), first.text);
        match self.pair.play(history)? {
            Some(again) => {
                let (short, difference) = shrink(&mut self.pair, history, again)?;
                let file = self.keep(&short, &difference, "");
                eprintln!("seed {}: shortened to {} steps, {file}:", history.seed, short.steps.len());
                eprintln!("{}", difference.text);
                self.failures.push(file);
            }
            None => {
                let file = self.keep(history, &first, "unsteady-");
                eprintln!("seed {}: not the second time: {file}", history.seed);
                self.unsteady.push(file);
            }
        }
        Ok(())
    }

    fn keep(&self, history: &History, difference: &Difference, prefix: &str) -> String {
        let file = self.out.join(format!("{prefix}{}-{}.json", history.profile, history.seed));
        let history = History { why: difference.text.clone(), ..history.clone() };
        let written = serde_json::to_string_pretty(&history).map(|text| std::fs::write(&file, text + "\n"));
        if !matches!(written, Ok(Ok(()))) {
            eprintln!("{} could not be written", file.display());
        }
        file.display().to_string()
    }

    fn progress(&mut self) {
        self.shown = Instant::now();
        let (tally, seconds) = (&self.pair.tally, self.began.elapsed().as_secs_f64());
        eprintln!(
            "{}: {} requests in {} histories, {:.0}/s, {} events, {} explained, {} differences, {} unsteady",
            self.profile,
            tally.requests,
            tally.histories,
            tally.requests as f64 / seconds.max(0.001),
            tally.events,
            tally.explained.values().sum::<usize>(),
            self.failures.len(),
            self.unsteady.len(),
        );
    }
}
