//! Who may proceed: the order of one connection's replies.
//!
//! Requests of a connection are answered strictly in order. A write's answer is known when its txn
//! is applied; a read behind an unfinished write of the same connection is parked until its turn, so
//! that it sees that write. Events go straight into the bytes that leave next, which is why a client
//! sees an event before anything newer (Java: `CommitProcessor`).

use bytes::BytesMut;
use std::collections::VecDeque;

/// The replies of one connection, in their final order. `J` is a parked request.
#[derive(Debug)]
pub struct Replies<J> {
    /// What leaves next.
    ready: BytesMut,
    /// Requests that are not in `ready` yet, oldest first.
    waiting: VecDeque<Waiting<J>>,
    /// The number of the first waiting request.
    first: u64,
    /// How many of `waiting` are parked.
    parked: usize,
}

#[derive(Debug)]
enum Waiting<J> {
    /// A write on its way through the pipeline.
    Unfinished,
    /// A write that was overtaken by nothing but has to wait for an older request.
    Finished(BytesMut),
    /// To be carried out when everything in front of it is answered.
    Parked(J),
}

impl<J> Default for Replies<J> {
    fn default() -> Self {
        Replies { ready: BytesMut::new(), waiting: VecDeque::new(), first: 0, parked: 0 }
    }
}

impl<J> Replies<J> {
    /// Whether a read may be answered right away.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Requests that are not answered yet.
    pub fn outstanding(&self) -> usize {
        self.waiting.len()
    }

    /// What leaves next. Events are appended here at any time; replies only while the connection is
    /// [idle](Self::is_idle) or as the output of a job from [`Self::next_job`].
    pub fn ready(&mut self) -> &mut BytesMut {
        &mut self.ready
    }

    /// Bytes held for the client.
    pub fn bytes(&self) -> usize {
        self.ready.len()
    }

    /// Keeps a place for the answer of a write; the number is told back by [`Self::finish`].
    pub fn begin_write(&mut self) -> u64 {
        self.waiting.push_back(Waiting::Unfinished);
        self.first + self.waiting.len() as u64 - 1
    }

    /// Parks a request behind what is unfinished.
    pub fn park(&mut self, job: J) {
        self.parked += 1;
        self.waiting.push_back(Waiting::Parked(job));
    }

    /// How many requests are parked. Whoever lets writes in behind them bounds this: all of them are
    /// answered before the first such write is applied, whether or not their answers leave.
    pub fn parked(&self) -> usize {
        self.parked
    }

    /// Whether a parked request stands in front of the write with this number. It has to be carried out
    /// before that write is applied, or it would see what its client asked for later.
    pub fn parked_before(&self, number: u64) -> bool {
        let in_front = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.parked > 0 && self.waiting.iter().take(in_front).any(|waiting| matches!(waiting, Waiting::Parked(_)))
    }

    /// The answer of a write: `put` appends its bytes. Returns whether there is something new for the
    /// connection to do: bytes to send or a parked request whose turn has come.
    pub fn finish(&mut self, number: u64, put: impl FnOnce(&mut BytesMut)) -> bool {
        if number == self.first && !self.waiting.is_empty() {
            put(&mut self.ready);
            self.pop();
            self.release();
            return true;
        }
        let place = number.checked_sub(self.first).and_then(|at| self.waiting.get_mut(at as usize));
        if let Some(place @ Waiting::Unfinished) = place {
            let mut bytes = BytesMut::new();
            put(&mut bytes);
            *place = Waiting::Finished(bytes);
        }
        false
    }

    /// A parked request whose turn has come. Its reply is appended to [`Self::ready`] before the next
    /// call.
    pub fn next_job(&mut self) -> Option<J> {
        self.release();
        match self.waiting.front() {
            Some(Waiting::Parked(_)) => match self.pop() {
                Some(Waiting::Parked(job)) => Some(job),
                _ => None,
            },
            _ => None,
        }
    }

    /// Whether [`Self::next_job`] would give one.
    pub fn has_job(&self) -> bool {
        matches!(self.waiting.front(), Some(Waiting::Parked(_)))
    }

    /// Puts a job back whose turn has come but which could not be carried out yet.
    pub fn put_back(&mut self, job: J) {
        self.waiting.push_front(Waiting::Parked(job));
        self.first -= 1;
        self.parked += 1;
    }

    fn pop(&mut self) -> Option<Waiting<J>> {
        let popped = self.waiting.pop_front();
        self.first += u64::from(popped.is_some());
        self.parked -= usize::from(matches!(popped, Some(Waiting::Parked(_))));
        popped
    }

    /// Moves finished writes at the front to where they leave.
    fn release(&mut self) {
        while let Some(Waiting::Finished(bytes)) = self.waiting.front() {
            self.ready.extend_from_slice(bytes);
            self.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(replies: &mut Replies<u8>) -> String {
        String::from_utf8(replies.ready().to_vec()).unwrap()
    }

    #[test]
    fn answers_leave_in_request_order() {
        let mut replies = Replies::default();
        let a = replies.begin_write();
        replies.park(b'b');
        let c = replies.begin_write();
        let d = replies.begin_write();
        replies.park(b'e');
        assert!(!replies.finish(d, |out| out.extend_from_slice(b"d")));
        assert!(!replies.finish(c, |out| out.extend_from_slice(b"c")));
        assert_eq!(replies.next_job(), None, "a read may not pass the connection's own write");
        assert!(replies.finish(a, |out| out.extend_from_slice(b"a")));
        assert_eq!(text(&mut replies), "a", "the write behind the parked read waits for it");
        let job = replies.next_job().unwrap();
        replies.put_back(job);
        let job = replies.next_job().unwrap();
        replies.ready().extend_from_slice(&[job]);
        let job = replies.next_job().unwrap();
        replies.ready().extend_from_slice(&[job]);
        assert_eq!(text(&mut replies), "abcde");
        assert!(replies.is_idle());
    }

    #[test]
    fn a_read_stands_before_the_writes_behind_it() {
        let mut replies = Replies::default();
        let a = replies.begin_write();
        replies.park(b'b');
        let c = replies.begin_write();
        let d = replies.begin_write();
        assert!(!replies.parked_before(a));
        assert!(replies.parked_before(c) && replies.parked_before(d), "the read has not seen its tree yet");
        replies.finish(a, |_| {});
        let job = replies.next_job().unwrap();
        assert!(!replies.parked_before(c));
        replies.put_back(job);
        assert!(replies.parked_before(c), "what was put back is still to do");
        assert_eq!(replies.parked(), 1);
        replies.next_job().unwrap();
        assert!(!replies.parked_before(c) && !replies.parked_before(d));
        assert_eq!(replies.parked(), 0);
    }

    #[test]
    fn an_event_overtakes_waiting_replies_but_not_sent_ones() {
        let mut replies: Replies<u8> = Replies::default();
        replies.ready().extend_from_slice(b"1");
        let write = replies.begin_write();
        replies.ready().extend_from_slice(b"E");
        replies.finish(write, |out| out.extend_from_slice(b"2"));
        assert_eq!(text(&mut replies), "1E2");
    }

    #[test]
    fn any_order_of_completion_gives_the_same_bytes() {
        for seed in 0_u32..200 {
            let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
            let mut random = move |below: u32| {
                state ^= state << 13;
                state ^= state >> 17;
                state ^= state << 5;
                state % below
            };
            let mut replies = Replies::default();
            let mut unfinished = Vec::new();
            let mut expected = Vec::new();
            for name in b'A'..=b'Z' {
                expected.push(name);
                if random(2) == 0 {
                    unfinished.push((replies.begin_write(), name));
                } else {
                    replies.park(name);
                }
            }
            loop {
                while let Some(job) = replies.next_job() {
                    replies.ready().extend_from_slice(&[job]);
                }
                if unfinished.is_empty() {
                    break;
                }
                let (number, name) = unfinished.swap_remove(random(unfinished.len() as u32) as usize);
                replies.finish(number, |out| out.extend_from_slice(&[name]));
            }
            assert_eq!(replies.ready().to_vec(), expected, "seed {seed}");
        }
    }

    /// A place in the model's list: its number, and its answer once there is one.
    enum Place {
        Write(u64, Option<u8>),
        Read(u8),
    }

    /// Everything a connection does, against a list in which every place knows its own number.
    #[test]
    fn does_what_a_list_would_do() {
        for seed in 1_u64..=300 {
            let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let mut roll = move |sides: u64| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                (state % sides) as usize
            };
            let (mut replies, mut list, mut out) = (Replies::default(), VecDeque::new(), Vec::new());
            let mut finished = Vec::new();
            let mut next = 0_u64;
            for turn in 0..300_u32 {
                let name = turn as u8;
                match roll(8) {
                    0..=1 => {
                        assert_eq!(replies.begin_write(), next, "seed {seed}");
                        list.push_back(Place::Write(next, None));
                        next += 1;
                    }
                    2 => {
                        replies.park(name);
                        list.push_back(Place::Read(name));
                        next += 1;
                    }
                    3 => {
                        replies.ready().extend_from_slice(&[name]);
                        out.push(name);
                    }
                    4..=5 => {
                        let open: Vec<u64> = list.iter().filter_map(unfinished).collect();
                        // One that is unfinished, or by mistake one that was finished before.
                        let pool = if roll(6) == 0 { &finished } else { &open };
                        if pool.is_empty() {
                            continue;
                        }
                        let number = pool[roll(pool.len() as u64)];
                        let is_first = matches!(list.front(), Some(Place::Write(first, None)) if *first == number);
                        assert_eq!(replies.finish(number, |bytes| bytes.extend_from_slice(&[name])), is_first);
                        for place in &mut list {
                            if let Place::Write(n, answer @ None) = place
                                && *n == number
                            {
                                *answer = Some(name);
                            }
                        }
                        finished.push(number);
                        release(&mut list, &mut out);
                    }
                    _ => {
                        let job = replies.next_job();
                        release(&mut list, &mut out);
                        let expected = match list.front() {
                            Some(Place::Read(name)) => Some(*name),
                            _ => None,
                        };
                        assert_eq!(job, expected, "seed {seed}");
                        let Some(job) = job else { continue };
                        if roll(3) == 0 {
                            replies.put_back(job);
                        } else {
                            replies.ready().extend_from_slice(&[job]);
                            out.push(job);
                            list.pop_front();
                        }
                        // Finished writes behind it leave when somebody looks.
                        let _ = replies.next_job().map(|job| replies.put_back(job));
                        release(&mut list, &mut out);
                    }
                }
                assert_eq!(replies.ready().to_vec(), out, "seed {seed}");
                assert_eq!(replies.bytes(), out.len());
                compare(&replies, &list, next);
            }
        }
    }

    fn unfinished(place: &Place) -> Option<u64> {
        match place {
            Place::Write(number, None) => Some(*number),
            _ => None,
        }
    }

    fn release(list: &mut VecDeque<Place>, out: &mut Vec<u8>) {
        while let Some(Place::Write(_, Some(answer))) = list.front() {
            out.push(*answer);
            list.pop_front();
        }
    }

    fn compare(replies: &Replies<u8>, list: &VecDeque<Place>, next: u64) {
        let reads = |list: &mut dyn Iterator<Item = &Place>| list.filter(|p| matches!(p, Place::Read(_))).count();
        assert_eq!(replies.outstanding(), list.len());
        assert_eq!(replies.is_idle(), list.is_empty());
        assert_eq!(replies.parked(), reads(&mut list.iter()));
        assert_eq!(replies.has_job(), matches!(list.front(), Some(Place::Read(_))));
        let first = next - list.len() as u64;
        for number in 0..=next {
            let in_front = number.saturating_sub(first) as usize;
            assert_eq!(replies.parked_before(number), reads(&mut list.iter().take(in_front)) > 0, "{number}");
        }
    }
}
