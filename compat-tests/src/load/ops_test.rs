use super::*;
use crate::load::wire::int_at;

fn names() -> Names {
    Names::new("/r", 2, 50, 16)
}

fn get_reply(data: &[u8], length: i32) -> Vec<u8> {
    let mut body = Vec::new();
    body.buffer(data);
    body.extend_from_slice(&[0; 52]);
    body.int(length);
    body.extend_from_slice(&[0; 12]);
    body
}

#[test]
fn a_get_reply_must_carry_the_data_and_its_length() {
    let names = names();
    let op = Op::Get { key: 1, watch: false };
    assert_eq!(names.complaint(op, &get_reply(&names.data, 16)), None);
    assert!(names.complaint(op, &get_reply(&names.data, 15)).is_some(), "Stat.dataLength differs");
    let mut other = names.data.clone();
    other[15] ^= 1;
    assert!(names.complaint(op, &get_reply(&other, 16)).is_some(), "a byte of the data differs");
    assert!(names.complaint(op, &get_reply(&names.data[1..], 15)).is_some(), "the data is short");
    assert!(names.complaint(op, &[]).is_some());
}

#[test]
fn a_create_reply_must_name_the_znode() {
    let names = names();
    let op = Op::Create { dir: FIRST_CREATE_DIR, number: 7 };
    let mut body = Vec::new();
    body.numbered_path(b"/r/c00000", 7);
    assert_eq!(names.complaint(op, &body), None);
    body[22] = b'8';
    assert!(names.complaint(op, &body).is_some());
}

#[test]
fn stats_and_empty_bodies_are_exact() {
    let names = names();
    assert_eq!(names.complaint(Op::Set { key: 0 }, &[0; 68]), None);
    assert!(names.complaint(Op::Set { key: 0 }, &[0; 67]).is_some());
    assert_eq!(names.complaint(Op::Delete { dir: 2, number: 0 }, &[]), None);
    assert!(names.complaint(Op::Delete { dir: 2, number: 0 }, &[0]).is_some());
}

#[test]
fn a_multi_reply_must_hold_every_success_in_order() {
    let names = names();
    let op = Op::CreateBatch { dir: FIRST_CREATE_DIR, number: 3, count: 2 };
    let reply = |numbers: &[u32]| {
        let mut body = Vec::new();
        for number in numbers {
            body.int(op::CREATE);
            body.boolean(false);
            body.int(0);
            body.numbered_path(b"/r/c00000", *number);
        }
        wire::multi_end(&mut body);
        body
    };
    assert_eq!(names.complaint(op, &reply(&[3, 4])), None);
    for wrong in [&[4, 3][..], &[3], &[3, 4, 5]] {
        assert!(names.complaint(op, &reply(wrong)).is_some(), "{wrong:?}");
    }
    // A multi that failed answers with error results, under err 0 in its header.
    let mut failed = Vec::new();
    for code in [0, -110] {
        failed.int(-1);
        failed.boolean(false);
        failed.int(code);
        failed.int(code);
    }
    wire::multi_end(&mut failed);
    assert!(names.complaint(op, &failed).is_some());
}

#[test]
fn a_multi_asks_for_every_key_and_ends() {
    let names = names();
    let mut out = Vec::new();
    names.body(&mut out, Op::MultiSet { key: 45 });
    let one = MULTI_HEADER_BYTES + 4 + 7 + 1 + DIGITS + 4 + 16 + 4;
    assert_eq!(out.len(), 20 * one + MULTI_HEADER_BYTES);
    let number = |at: usize| wire::trailing_number(&out[at * one + 13..at * one + 13 + 7 + 1 + DIGITS]);
    assert_eq!((number(0), number(4), number(5)), (Some(45), Some(49), Some(0)), "keys wrap");
    assert_eq!(int_at(&out, 20 * one), Some(-1));
}

#[test]
fn batches_stay_far_below_a_frame() {
    assert_eq!(Names::new("/r", 1, 1, 100).batch(), BATCH_MAX);
    assert_eq!(Names::new("/r", 1, 1, 100_000).batch(), 5);
    assert_eq!(Names::new("/r", 1, 1, 900_000).batch(), 1);
}
