//! Reading the recorded vectors, and showing values the way those who recorded them did.
#![allow(dead_code)] // each test binary uses its part

pub mod homes;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::path::Path;
use zorilla_protocol::{SessionId, Sid, Zxid};

/// One entry of a vector file.
pub struct Vector {
    pub record: String,
    pub variant: String,
    pub value: Value,
    pub bytes: Bytes,
}

impl Vector {
    pub fn name(&self) -> String {
        format!("{} {} {}", self.record, self.variant, self.value)
    }
}

/// The entries of `testdata/<file>`.
pub fn vectors(file: &str) -> Vec<Vector> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/testdata").join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let entries: Vec<Value> = serde_json::from_str(&text).unwrap();
    let string = |entry: &Value, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    let vector = |entry: Value| Vector {
        record: string(&entry, "record"),
        variant: string(&entry, "variant"),
        bytes: unhex(&string(&entry, "hex")),
        value: entry["value"].clone(),
    };
    entries.into_iter().map(vector).collect()
}

pub fn unhex(text: &str) -> Bytes {
    assert!(text.len().is_multiple_of(2));
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A decoded value without its type.
#[derive(Debug)]
pub enum Shown {
    Number(i64),
    Flag(bool),
    Text(Option<String>),
    Buffer(Option<Bytes>),
    List(Option<Vec<Shown>>),
    Record(Vec<(String, Shown)>),
}

impl Shown {
    /// As `client-records.json` writes values.
    pub fn json(&self) -> Value {
        match self {
            Shown::Number(n) => json!(n),
            Shown::Flag(flag) => json!(flag),
            Shown::Text(text) => json!(text),
            Shown::Buffer(None) => Value::Null,
            Shown::Buffer(Some(bytes)) => json!({ "$hex": hex(bytes) }),
            Shown::List(items) => json!(items.as_ref().map(|items| items.iter().map(Shown::json).collect::<Vec<_>>())),
            Shown::Record(fields) => {
                Value::Object(fields.iter().map(|(name, value)| (name.clone(), value.json())).collect::<Map<_, _>>())
            }
        }
    }

    /// As Java's records print themselves (`CsvOutputArchive`); null and empty look alike there.
    pub fn csv(&self) -> String {
        match self {
            Shown::Record(fields) => fields.iter().map(|(_, value)| value.csv_inner()).collect::<Vec<_>>().join(","),
            other => other.csv_inner(),
        }
    }

    fn csv_inner(&self) -> String {
        match self {
            Shown::Number(n) => n.to_string(),
            Shown::Flag(flag) => if *flag { "T" } else { "F" }.to_owned(),
            Shown::Text(text) => format!("'{}", text.as_deref().unwrap_or_default()),
            Shown::Buffer(bytes) => match bytes.as_deref().unwrap_or_default() {
                [] => String::new(),
                // Java prints each byte as a signed number in hex, without leading zeros.
                bytes => {
                    bytes.iter().fold("#".to_owned(), |text, byte| text + &format!("{:x}", i32::from(*byte as i8)))
                }
            },
            Shown::List(items) => {
                let items: Vec<String> = items.iter().flatten().map(Shown::csv_inner).collect();
                format!("v{{{}}}", items.join(","))
            }
            Shown::Record(_) => format!("s{{{}}}", self.csv()),
        }
    }
}

/// A value that can be shown.
pub trait Show {
    fn show(&self) -> Shown;
}

macro_rules! show {
    ($($ty:ty, $value:ident => $shown:expr;)*) => {
        $(impl Show for $ty { fn show(&self) -> Shown { let $value = self; $shown } })*
    };
}

show! {
    i32, n => Shown::Number((*n).into());
    i64, n => Shown::Number(*n);
    Zxid, n => Shown::Number(n.0);
    SessionId, n => Shown::Number(n.0);
    Sid, n => Shown::Number(n.0);
    bool, flag => Shown::Flag(*flag);
    // An absent flag reads as false.
    Option<bool>, flag => Shown::Flag(flag.unwrap_or(false));
    String, text => Shown::Text(Some(text.clone()));
    Option<String>, text => Shown::Text(text.clone());
    Option<Cow<'static, str>>, text => Shown::Text(text.as_deref().map(str::to_owned));
    Option<Bytes>, bytes => Shown::Buffer(bytes.clone());
    Bytes, bytes => Shown::Buffer(Some(bytes.clone()));
}

impl<T: Show> Show for Vec<T> {
    fn show(&self) -> Shown {
        Shown::List(Some(self.iter().map(T::show).collect()))
    }
}

impl<T: Show> Show for Option<Vec<T>> {
    fn show(&self) -> Shown {
        match self {
            Some(items) => items.show(),
            None => Shown::List(None),
        }
    }
}
