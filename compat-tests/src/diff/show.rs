//! Steps and answers as people read them.

use std::fmt::Write;

use super::history::{Ask, Step};
use super::normal::layout_of;
use super::ops;
use super::side::Item;

const SHOWN_BYTES: usize = 160;

pub fn step(at: usize, step: &Step) -> String {
    match step {
        Step::Ask(ask) => format!("step {at}, {}", request(ask)),
        other => format!("step {at}: {other:?}"),
    }
}

/// A batch, of which the last few matter most.
pub fn asks(first: usize, asks: &[Ask]) -> String {
    let lines = asks.iter().enumerate().map(|(at, ask)| format!("step {}, {}", first + at, request(ask)));
    lines.collect::<Vec<String>>().join("\n")
}

fn request(ask: &Ask) -> String {
    let alone = if ask.alone { ", alone" } else { "" };
    let zxid = ask.zxid_ahead.map_or(String::new(), |ahead| format!(", from zxid {ahead:+}"));
    format!("line {}: {} (xid {}{zxid}{alone}) {}", ask.line, ops::name(ask.op), ask.xid, bytes(&ask.body))
}

/// What the two servers sent, where they differ, field by field.
pub fn difference(tested: &[Item], reference: &[Item]) -> String {
    let same = tested.iter().zip(reference).take_while(|(a, b)| a == b).count();
    let mut out = format!("  {same} answers and events alike, then\n");
    match (tested.get(same), reference.get(same)) {
        (Some(Item::Frame { op: a, bytes: x }), Some(Item::Frame { op: b, bytes: y })) if a == b => {
            fields(&mut out, *a, x, y);
        }
        _ => {}
    }
    for (name, items) in [("tested   ", tested), ("reference", reference)] {
        for item in items.iter().skip(same).take(3) {
            let _ = writeln!(out, "  {name}: {}", self::item(item));
        }
        if items.len() <= same {
            let _ = writeln!(out, "  {name}: nothing more");
        }
    }
    out
}

fn fields(out: &mut String, op: Option<i32>, tested: &[u8], reference: &[u8]) {
    let layouts = [layout_of(tested, op), layout_of(reference, op)];
    for (a, b) in layouts[0].fields.iter().zip(&layouts[1].fields) {
        let (x, y) = (&tested[a.at.clone()], &reference[b.at.clone()]);
        if a.name != b.name {
            let _ = writeln!(out, "  fields {} and {}", a.name, b.name);
            return;
        }
        if x != y {
            let result = a.result.map_or(String::new(), |result| format!("result {result}: "));
            let _ = writeln!(out, "  {result}{}: tested {}, reference {}", a.name, value(x), value(y));
        }
    }
}

fn item(item: &Item) -> String {
    match item {
        Item::End(why) => format!("({why})"),
        Item::Text(text) => format!("{:?}", String::from_utf8_lossy(text)),
        Item::Frame { op, bytes } => {
            let what = match (item.is_event(), op) {
                (true, _) => "event".to_string(),
                (_, Some(op)) => format!("answer to {}", ops::name(*op)),
                _ => "answer to the handshake".to_string(),
            };
            let mut out = format!("{what}:");
            for field in &layout_of(bytes, *op).fields {
                let _ = write!(out, " {}={}", field.name, value(&bytes[field.at.clone()]));
            }
            out
        }
    }
}

fn value(field: &[u8]) -> String {
    match field.len() {
        4 => i32::from_be_bytes(field.try_into().unwrap_or_default()).to_string(),
        8 => format!("{:#x}", i64::from_be_bytes(field.try_into().unwrap_or_default())),
        _ => bytes(field),
    }
}

fn bytes(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(SHOWN_BYTES)];
    let more = if bytes.len() > SHOWN_BYTES { format!("... {} bytes", bytes.len()) } else { String::new() };
    format!("\"{}{more}\"", shown.escape_ascii())
}
