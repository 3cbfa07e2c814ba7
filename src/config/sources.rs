//! What a configuration is made from, already read: texts, variables, arguments. Nothing here opens a file.

use super::error::{ConfigError, Place};
use super::keys;
use super::properties;
use super::settings::Settings;
use std::path::PathBuf;

/// A configuration file that was read.
#[derive(Clone, Debug)]
pub struct FileText {
    /// Its name, for messages.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// Everything that can say something about the configuration. Stronger places win: `-D` arguments, then Apache's
/// `port dataDir` arguments, then `JVMFLAGS`, `SERVER_JVMFLAGS`, variables named like a property, and the file or,
/// when there is none, the official image's `ZOO_*` variables.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// `zoo.cfg`.
    pub file: Option<FileText>,
    /// The file that `dynamicConfigFile` names.
    pub dynamic_file: Option<FileText>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// Key and value of each `-Dkey=value`, in order.
    pub defines: Vec<(String, String)>,
    /// Apache's other way to start: `port dataDir [tickTime] [maxClientCnxns]`.
    pub positional: Vec<String>,
    /// The text of `dataDir/myid`, if there is one.
    pub myid: Option<String>,
    /// Memory that the server may plan with, in bytes: the machine's, or its container's limit.
    pub memory_bytes: Option<u64>,
}

/// The official image's variables and the keys they set.
const IMAGE_VARIABLES: &[(&str, &str)] = &[
    ("ZOO_DATA_DIR", "dataDir"),
    ("ZOO_DATA_LOG_DIR", "dataLogDir"),
    ("ZOO_TICK_TIME", "tickTime"),
    ("ZOO_INIT_LIMIT", "initLimit"),
    ("ZOO_SYNC_LIMIT", "syncLimit"),
    ("ZOO_AUTOPURGE_PURGEINTERVAL", "autopurge.purgeInterval"),
    ("ZOO_AUTOPURGE_SNAPRETAINCOUNT", "autopurge.snapRetainCount"),
    ("ZOO_MAX_CLIENT_CNXNS", "maxClientCnxns"),
    ("ZOO_STANDALONE_ENABLED", "standaloneEnabled"),
    ("ZOO_ADMINSERVER_ENABLED", "admin.enableServer"),
    ("ZOO_4LW_COMMANDS_WHITELIST", "4lw.commands.whitelist"),
];

impl Sources {
    /// The value of an environment variable that is set and not empty.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    /// All settings, the weakest place first so that stronger ones replace them.
    pub(super) fn settings(&self) -> Result<Settings, ConfigError> {
        let mut settings = Settings::default();
        if let Some(file) = &self.file {
            put_file(&mut settings, file)?;
        } else {
            self.put_image_variables(&mut settings);
        }
        self.put_dynamic(&mut settings)?;
        for (name, value) in self.environment.iter().filter(|(name, _)| is_property_name(name)) {
            settings.put(name, value, Place::Environment(name.clone()));
        }
        for name in ["SERVER_JVMFLAGS", "JVMFLAGS"] {
            for (key, value) in self.variable(name).into_iter().flat_map(defines_in) {
                settings.put(key, value, Place::Environment(name.to_owned()));
            }
        }
        self.put_positional(&mut settings)?;
        for (key, value) in &self.defines {
            settings.put(key, value, Place::Argument);
        }
        Ok(settings)
    }

    fn put_dynamic(&self, settings: &mut Settings) -> Result<(), ConfigError> {
        let Some(file) = &self.dynamic_file else { return Ok(()) };
        let is_member = |key: &str| ["server.", "group.", "weight."].iter().any(|prefix| key.starts_with(prefix));
        if let Some((name, _)) = settings.iter().find(|(name, _)| is_member(name)) {
            return Err(ConfigError::Rule(format!("parameter: {name} must be in a separate dynamic config file")));
        }
        for property in parse_file(file)? {
            if !is_member(&property.key) {
                return Err(ConfigError::Rule(format!(
                    "{}:{}: Unrecognised parameter: {}",
                    file.path.display(),
                    property.line,
                    property.key
                )));
            }
            settings.put(&property.key, &property.value, place(file, property.line));
        }
        Ok(())
    }

    fn put_image_variables(&self, settings: &mut Settings) {
        for (variable, key) in IMAGE_VARIABLES {
            if let Some(value) = self.variable(variable) {
                settings.put(key, value, Place::Environment((*variable).to_owned()));
            }
        }
        for server in self.variable("ZOO_SERVERS").into_iter().flat_map(str::split_whitespace) {
            if let Some((key, value)) = server.split_once('=') {
                settings.put(key, value, Place::Environment("ZOO_SERVERS".to_owned()));
            }
        }
        for extra in self.variable("ZOO_CFG_EXTRA").into_iter().flat_map(str::split_whitespace) {
            if let Some((key, value)) = extra.split_once('=') {
                settings.put(key, value, Place::Environment("ZOO_CFG_EXTRA".to_owned()));
            }
        }
    }

    fn put_positional(&self, settings: &mut Settings) -> Result<(), ConfigError> {
        if self.positional.is_empty() {
            return Ok(());
        }
        if !(2..=4).contains(&self.positional.len()) {
            return Err(ConfigError::Rule(format!("Invalid number of arguments:{:?}", self.positional)));
        }
        for (key, value) in ["clientPort", "dataDir", "tickTime", "maxClientCnxns"].iter().zip(&self.positional) {
            settings.put(key, value, Place::Argument);
        }
        Ok(())
    }

    /// Whether the file, the image's variables or the arguments say where the server is to live: if not, the
    /// embedded default does.
    pub(super) fn is_embedded(&self) -> bool {
        self.file.is_none() && self.positional.is_empty()
    }
}

fn put_file(settings: &mut Settings, file: &FileText) -> Result<(), ConfigError> {
    for property in parse_file(file)? {
        settings.put(&property.key, &property.value, place(file, property.line));
    }
    Ok(())
}

fn parse_file(file: &FileText) -> Result<Vec<properties::Property>, ConfigError> {
    properties::parse(&file.text).map_err(|bad| ConfigError::Unreadable {
        path: file.path.clone(),
        why: format!("line {}: Malformed \\uxxxx encoding.", bad.line),
    })
}

fn place(file: &FileText, line: usize) -> Place {
    Place::File { path: file.path.clone(), line }
}

/// `-Dkey=value` among a JVM's flags; `-Dkey` alone is an empty value, as in Java.
fn defines_in(flags: &str) -> impl Iterator<Item = (&str, &str)> {
    flags.split_whitespace().filter_map(|flag| flag.strip_prefix("-D")).map(|d| d.split_once('=').unwrap_or((d, "")))
}

/// Variables count when they bear a property's own name: with a dot in it, and known or marked as ours.
fn is_property_name(name: &str) -> bool {
    name.contains('.') && (name.starts_with("zookeeper.") || keys::find(name).is_some())
}
