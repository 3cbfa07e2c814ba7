//! What a run exercised, as the reference server answered it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::history::Ask;
use super::layout;
use super::ops;
use super::side::Item;
use crate::load::wire::int_at;

#[derive(Debug, Default, Serialize)]
pub struct Tally {
    pub histories: usize,
    /// Requests of histories.
    pub requests: usize,
    /// Handshakes, expiries, closes, words and bytes that are no requests.
    pub others: usize,
    /// Reads that compared whole trees.
    pub trees: usize,
    pub events: usize,
    /// By opcode: answers by their error code; `closed` when there was none.
    pub by_op: BTreeMap<String, BTreeMap<String, usize>>,
    /// By opcode inside a multi or multiRead, in the same way.
    pub in_multi: BTreeMap<String, BTreeMap<String, usize>>,
    pub explained: BTreeMap<String, usize>,
}

impl Tally {
    pub fn count(&mut self, asks: &[Ask], reference: &[Item]) {
        let mut answers = reference.iter().filter(|item| !item.is_event());
        self.events += reference.iter().filter(|item| item.is_event()).count();
        self.requests += asks.len();
        for ask in asks {
            let answer = answers.next();
            let err = answer.and_then(Item::header).map(|header| header.err);
            let code = err.map_or_else(|| "closed".to_string(), |err| err.to_string());
            *self.by_op.entry(ops::name(ask.op)).or_default().entry(code).or_default() += 1;
            match answer {
                None | Some(Item::End(_)) => return,
                Some(Item::Frame { bytes, .. }) if matches!(ask.op, ops::MULTI | ops::MULTI_READ) => {
                    self.results(ask.op, bytes);
                }
                Some(_) => {}
            }
        }
    }

    fn results(&mut self, op: i32, bytes: &[u8]) {
        let layout = layout::of_answer(bytes, op);
        let of_results = layout.fields.iter().filter(|field| field.result.is_some());
        let mut kind = 0;
        for field in of_results {
            let value = int_at(bytes, field.at.start).unwrap_or(0);
            match field.name {
                "type" => kind = value,
                "err" => {
                    let name = if kind == -1 { "error or end".to_string() } else { ops::name(kind) };
                    *self.in_multi.entry(name).or_default().entry(value.to_string()).or_default() += 1;
                }
                _ => {}
            }
        }
    }

    pub fn explained(&mut self, why: &str) {
        *self.explained.entry(why.to_string()).or_default() += 1;
    }
}
