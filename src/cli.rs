//! The command line: `zorilla serve`, `zorilla config`, and Apache's own ways to start.

use crate::config::{self, Config, ConfigError, Notice, Sources};
use crate::exit::Exit;
use std::path::{Path, PathBuf};
use tracing_subscriber::EnvFilter;

const USAGE: &str = "\
Zorilla, a drop-in ZooKeeper server.

    zorilla serve [-Dkey=value ...] [zoo.cfg]      run in the foreground until SIGTERM or Ctrl-C
    zorilla serve [-Dkey=value ...] port dataDir [tickTime] [maxClientCnxns]
    zorilla config [-Dkey=value ...] [zoo.cfg]     show what was understood, without secrets
    zorilla --version
    zorilla --help

Without a file: data under ./data, port 2181 on 127.0.0.1, and the official image's ZOO_* variables.
-D wins over JVMFLAGS, then SERVER_JVMFLAGS, then variables named like a property, then the file.
The log goes to standard error; ZOO_LOG_LEVEL or RUST_LOG set its level.

Exit codes: 0 stopped as asked, 1 unexpected error, 2 arguments or configuration, 3 data directory.
";

/// What the arguments ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Run a server.
    Serve(Arguments),
    /// Show the configuration.
    Config(Arguments),
    /// Show the version.
    Version,
    /// Show the usage.
    Help,
}

/// Where the configuration comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// Key and value of each `-D`.
    pub defines: Vec<(String, String)>,
    /// The path of `zoo.cfg`.
    pub file: Option<PathBuf>,
    /// `port dataDir [tickTime] [maxClientCnxns]`.
    pub positional: Vec<String>,
}

/// Reads the arguments behind the program's name.
pub fn parse(args: &[String]) -> Result<Command, Exit> {
    let Some((command, rest)) = args.split_first() else { return Ok(Command::Help) };
    match command.as_str() {
        "serve" => Ok(Command::Serve(arguments(rest)?)),
        "config" => Ok(Command::Config(arguments(rest)?)),
        "--version" | "-V" | "version" => Ok(Command::Version),
        "--help" | "-h" | "help" => Ok(Command::Help),
        other => Err(Exit::Invocation(format!("unknown command {other:?}; see zorilla --help"))),
    }
}

/// One word is a file, as in Apache; two to four are `port dataDir [tickTime] [maxClientCnxns]`.
fn arguments(args: &[String]) -> Result<Arguments, Exit> {
    let mut parsed = Arguments::default();
    let mut words = Vec::new();
    let mut rest = args.iter();
    while let Some(arg) = rest.next() {
        if let Some(define) = arg.strip_prefix("-D") {
            // "-D key=value" as well as "-Dkey=value".
            let define = if define.is_empty() { rest.next().map_or("", String::as_str) } else { define };
            let (key, value) = define.split_once('=').unwrap_or((define, ""));
            if key.is_empty() {
                return Err(Exit::Invocation("-D needs key=value behind it".into()));
            }
            parsed.defines.push((key.to_owned(), value.to_owned()));
        } else if arg.starts_with('-') {
            return Err(Exit::Invocation(format!("unknown option {arg}; see zorilla --help")));
        } else {
            words.push(arg.clone());
        }
    }
    match words.len() {
        0 => {}
        1 => parsed.file = words.pop().map(PathBuf::from),
        2..=4 => parsed.positional = words,
        n => return Err(Exit::Invocation(format!("{n} arguments are too many; see zorilla --help"))),
    }
    Ok(parsed)
}

/// The whole program but for the server itself: `serve` runs one until it is told to stop.
pub fn run(
    args: &[String],
    environment: Vec<(String, String)>,
    serve: impl FnOnce(Config) -> Result<(), Exit>,
) -> Result<(), Exit> {
    match parse(args)? {
        Command::Help => print(USAGE),
        Command::Version => print(&format!("zorilla {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Config(arguments) => {
            let (sources, config, notices) = configure(arguments, environment)?;
            print(&shown(&sources, &config, &notices)?)
        }
        Command::Serve(arguments) => {
            start_log(&environment);
            let (_, config, notices) = configure(arguments, environment)?;
            log(&notices);
            serve(config)
        }
    }
}

/// A reader that went away (`zorilla config | head`) is no error.
fn print(text: &str) -> Result<(), Exit> {
    use std::io::Write;
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(why) if why.kind() != std::io::ErrorKind::BrokenPipe => Err(Exit::Unexpected(why.to_string())),
        _ => Ok(()),
    }
}

fn configure(arguments: Arguments, environment: Vec<(String, String)>) -> Result<(Sources, Config, Vec<Notice>), Exit> {
    let Arguments { defines, file, positional } = arguments;
    let sources = Sources { environment, defines, positional, ..Sources::default() };
    let sources = config::load(sources, file.as_deref()).map_err(refused)?;
    let (config, notices) = Config::from_sources(&sources).map_err(refused)?;
    Ok((sources, config, notices))
}

fn refused(why: ConfigError) -> Exit {
    Exit::Invocation(format!("Invalid config, exiting abnormally: {why}"))
}

fn log(notices: &[Notice]) {
    for notice in notices {
        match notice.warning {
            true => tracing::warn!("{notice}"),
            false => tracing::info!("{notice}"),
        }
    }
}

/// One line each on standard error. `RUST_LOG` is the finer language; `ZOO_LOG_LEVEL` is what images set.
fn start_log(environment: &[(String, String)]) {
    let variable = |name: &str| environment.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str());
    let directives = match (variable("RUST_LOG"), variable("ZOO_LOG_LEVEL")) {
        (Some(directives), _) => directives.to_owned(),
        (None, Some(level)) => level_of(level).to_owned(),
        (None, None) => "info".to_owned(),
    };
    let filter = EnvFilter::try_new(&directives).unwrap_or_else(|_| EnvFilter::new("info"));
    let subscriber = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(filter).with_ansi(false);
    // A test or an embedding program may have set one already; theirs stays.
    let _ = subscriber.try_init();
}

/// Log4j's and logback's level names, which are what `ZOO_LOG_LEVEL` holds.
fn level_of(name: &str) -> &'static str {
    match name.to_ascii_uppercase().as_str() {
        "OFF" => "off",
        "FATAL" | "ERROR" => "error",
        "WARN" | "WARNING" => "warn",
        "DEBUG" => "debug",
        "TRACE" | "ALL" => "trace",
        _ => "info",
    }
}

fn shown(sources: &Sources, config: &Config, notices: &[Notice]) -> Result<String, Exit> {
    let mut text = String::from("Given:\n");
    for line in config::describe(sources).map_err(refused)? {
        text.push_str(&format!("  {line}\n"));
    }
    text.push_str("Understood:\n");
    for (name, value) in understood(config) {
        text.push_str(&format!("  {name}={value}\n"));
    }
    text.push_str("Notes:\n");
    for notice in notices {
        text.push_str(&format!("  {notice}\n"));
    }
    Ok(text)
}

fn understood(config: &Config) -> Vec<(&'static str, String)> {
    let path = |path: &Path| path.display().to_string();
    let port = config.client_port.map_or("none".to_owned(), |port| port.to_string());
    vec![
        ("dataDir", path(&config.data_dir)),
        ("dataLogDir", path(&config.data_log_dir)),
        ("clientPort", port),
        ("clientPortAddress", config.client_port_address.clone().unwrap_or_else(|| "every address".into())),
        ("serverId", config.server_id.to_string()),
        ("tickTime", config.tick_time_ms.to_string()),
        ("minSessionTimeout", config.min_session_timeout_ms.to_string()),
        ("maxSessionTimeout", config.max_session_timeout_ms.to_string()),
        ("maxClientCnxns", config.max_client_cnxns.to_string()),
        ("maxCnxns", config.max_cnxns.to_string()),
        ("globalOutstandingLimit", config.global_outstanding_limit.to_string()),
        ("jute.maxbuffer", config.jute_maxbuffer_bytes.to_string()),
        ("4lw.commands.whitelist", config.four_letter_whitelist.to_string()),
        ("extendedTypesEnabled", config.extended_types_enabled.to_string()),
        ("enforceQuota", config.enforce_quota.to_string()),
        ("skipACL", config.skip_acl.to_string()),
        ("forceSync", config.force_sync.to_string()),
        ("superDigest", if config.super_digest.is_some() { "set" } else { "not set" }.into()),
        ("zorilla.memoryBudget", config.memory_budget_bytes.to_string()),
        ("zorilla.maxOutgoingBytes", config.out_bytes_max.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    fn served(text: &str) -> Arguments {
        match parse(&words(text)) {
            Ok(Command::Serve(arguments)) => arguments,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn ways_to_start() {
        assert_eq!(served("serve"), Arguments::default());
        assert_eq!(served("serve /etc/zoo.cfg").file, Some(PathBuf::from("/etc/zoo.cfg")));
        assert_eq!(served("serve 2181 /data").positional, ["2181", "/data"]);
        assert_eq!(served("serve 2181 /data 2000 60").positional, ["2181", "/data", "2000", "60"]);
        let arguments = served("serve -Dzookeeper.snapCount=5 zoo.cfg -D jute.maxbuffer=7 -Dempty");
        let defines = [("zookeeper.snapCount", "5"), ("jute.maxbuffer", "7"), ("empty", "")];
        assert_eq!(arguments.defines, defines.map(|(k, v)| (k.to_owned(), v.to_owned())));
        assert_eq!(arguments.file, Some(PathBuf::from("zoo.cfg")));
        assert_eq!(parse(&words("--version")), Ok(Command::Version));
        assert_eq!(parse(&[]), Ok(Command::Help));
    }

    #[test]
    fn wrong_invocations_are_code_2() {
        for text in ["frob", "serve --frob", "serve 1 2 3 4 5", "serve -D", "serve -D=x"] {
            assert_eq!(parse(&words(text)).unwrap_err().code(), 2, "{text}");
        }
    }

    #[test]
    fn a_missing_file_is_code_2_and_named() {
        let exit = run(&words("serve /nonexistent/zoo.cfg"), Vec::new(), |_| Ok(())).unwrap_err();
        assert_eq!(exit.code(), 2);
        assert!(exit.to_string().contains("Error processing /nonexistent/zoo.cfg"), "{exit}");
    }

    #[test]
    fn serve_gets_the_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let args = ["serve".to_owned(), "2199".to_owned(), dir.path().display().to_string()];
        let mut seen = None;
        run(&args, Vec::new(), |config| {
            seen = Some((config.client_port, config.data_dir));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, Some((Some(2199), dir.path().to_owned())));
    }

    #[test]
    fn the_shown_configuration_has_no_secrets() {
        let sources = Sources {
            defines: [
                ("zookeeper.DigestAuthenticationProvider.superDigest", "super:hidden1"),
                ("zookeeper.ssl.keyStore.password", "hidden2"),
                ("some.unknown", "hidden3"),
            ]
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .to_vec(),
            ..Sources::default()
        };
        let (config, notices) = Config::from_sources(&sources).unwrap();
        let text = shown(&sources, &config, &notices).unwrap();
        assert!(!text.contains("hidden"), "{text}");
        assert!(text.contains("superDigest=set") && text.contains("ssl.keyStore.password=****"), "{text}");
        assert!(!format!("{config:?}").contains("hidden"), "{config:?}");
    }

    #[test]
    fn log_levels_of_images() {
        assert_eq!([level_of("WARN"), level_of("info"), level_of("FATAL")], ["warn", "info", "error"]);
    }
}
