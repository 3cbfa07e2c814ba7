//! Differences that are meant: `differences.toml`, handed over as JSON.

use serde::Deserialize;

use super::hex::Hex;
use super::history::Ask;
use super::layout;
use super::ops;
use super::side::Item;
use crate::load::wire::int_at;

/// One of `[[history]]` in `differences.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Names of opcodes.
    pub ops: Vec<String>,
    /// Only requests whose body begins with these bytes.
    #[serde(default)]
    pub body_begins: Hex,
    /// What each server's answer carries; `None` is whatever it is, or a close without an answer.
    pub tested_err: Option<i32>,
    pub reference_err: Option<i32>,
    /// A result of a multi that only the named server gave.
    pub tested_result: Option<i32>,
    pub reference_result: Option<i32>,
    #[serde(default)]
    pub repair: Vec<Repair>,
    pub why: String,
}

/// What is done so that the servers are alike again.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Repair {
    /// The server under test takes a zxid for a request that fails.
    Zxid,
    /// The connection is left on both.
    Line,
    /// The trees differ from here on: the history ends.
    End,
}

impl Rule {
    pub fn explains(&self, ask: &Ask, tested: &[Item], reference: &[Item]) -> bool {
        self.ops.contains(&ops::name(ask.op))
            && ask.body.starts_with(&self.body_begins)
            && self.tested_err.is_none_or(|err| first_err(tested) == Some(err))
            && self.reference_err.is_none_or(|err| first_err(reference) == Some(err))
            && self.tested_result.is_none_or(|err| has_result(tested, err) && !has_result(reference, err))
            && self.reference_result.is_none_or(|err| has_result(reference, err) && !has_result(tested, err))
    }
}

/// Whether the answer to a multi has a result with this error.
fn has_result(items: &[Item], err: i32) -> bool {
    let Some(Item::Frame { bytes, .. }) = items.iter().find(|item| !item.is_event()) else { return false };
    let layout = layout::of_answer(bytes, ops::MULTI);
    layout.fields.iter().any(|field| field.name == "code" && int_at(bytes, field.at.start) == Some(err))
}

fn first_err(items: &[Item]) -> Option<i32> {
    items.iter().find(|item| !item.is_event()).and_then(Item::header).map(|header| header.err)
}
