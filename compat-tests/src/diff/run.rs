//! Plays histories on two servers and stops where they differ.

use std::net::SocketAddr;

use super::clean;
use super::explain::{Repair, Rule};
use super::history::{Ask, Connect, History, SessionName, Step};
use super::show;
use super::side::{CONTROL, CONTROL_SESSION, Item, Side, administrator, opening, ping};
use super::tally::Tally;

/// Requests under way at once: far below Apache's limit of outstanding requests.
const BATCH_MAX: usize = 128;

/// Where two servers went apart.
#[derive(Debug)]
pub struct Difference {
    /// The last step that was carried out.
    pub step: usize,
    pub text: String,
    /// One that is explained, after which the trees cannot be compared.
    pub meant: bool,
}

/// A server does not do what the run itself needs.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

pub struct Pair {
    pub tested: Side,
    pub reference: Side,
    pub rules: Vec<Rule>,
    pub tally: Tally,
}

impl Pair {
    /// Opens the control lines. Both servers are empty, or equally used.
    pub fn connect(tested: SocketAddr, reference: SocketAddr, rules: Vec<Rule>) -> Result<Self, Broken> {
        let mut pair = Self {
            tested: Side::new("tested", tested),
            reference: Side::new("reference", reference),
            rules,
            tally: Tally::default(),
        };
        for side in [&mut pair.tested, &mut pair.reference] {
            side.connect(&opening(CONTROL_SESSION, CONTROL));
            let answers = side.ask(CONTROL, &[administrator(), ping()]);
            if answers.iter().filter(|item| item.header().is_some_and(|header| header.err == 0)).count() != 2 {
                return Err(Broken(format!("the {} server does not let the administrator in: {answers:?}", side.name)));
            }
        }
        clean::align(&mut pair)?;
        Ok(pair)
    }

    /// Plays a history and leaves both servers empty, whatever comes of it.
    pub fn play(&mut self, history: &History) -> Result<Option<Difference>, Broken> {
        for side in [&mut self.tested, &mut self.reference] {
            side.acl_order_is_free = history.acl_order_is_free;
        }
        let outcome = Play { pair: self, history, at: 0 }.all();
        let outcome = outcome.and_then(|()| clean::finish(self, history.steps.len()));
        if outcome.is_err() {
            clean::after_difference(self)?;
        }
        self.tested.forget();
        self.reference.forget();
        Ok(outcome.err().filter(|difference| !difference.meant))
    }

    /// Sends to both, reads from both, compares.
    pub fn ask(&mut self, line: u8, asks: &[Ask], at: usize, what: &str) -> Result<(), Difference> {
        let items = self.both(line, asks);
        self.tally.count(asks, &items.1);
        compare(at, what, &items.0, &items.1)
    }

    fn both(&mut self, line: u8, asks: &[Ask]) -> (Vec<Item>, Vec<Item>) {
        self.tested.send(line, asks);
        self.reference.send(line, asks);
        let receive = |side: &mut Side| match asks {
            [ask] if ask.alone => side.receive_alone(ask),
            _ => side.receive(line, asks),
        };
        (receive(&mut self.tested), receive(&mut self.reference))
    }

    /// Does the same on each, one after the other, and compares.
    pub fn each(&mut self, at: usize, what: &str, act: impl Fn(&mut Side) -> Vec<Item>) -> Result<(), Difference> {
        let (tested, reference) = (act(&mut self.tested), act(&mut self.reference));
        compare(at, what, &tested, &reference)
    }
}

pub fn compare(step: usize, what: &str, tested: &[Item], reference: &[Item]) -> Result<(), Difference> {
    if tested == reference {
        return Ok(());
    }
    Err(Difference { step, text: format!("{what}\n{}", show::difference(tested, reference)), meant: false })
}

struct Play<'a> {
    pair: &'a mut Pair,
    history: &'a History,
    at: usize,
}

impl Play<'_> {
    fn all(&mut self) -> Result<(), Difference> {
        let steps = &self.history.steps;
        while self.at < steps.len() {
            let asks = batch(&steps[self.at..]);
            if asks.is_empty() {
                self.other(&steps[self.at])?;
                self.at += 1;
            } else {
                self.at += asks.len() - 1;
                self.asks(asks)?;
                self.at += 1;
            }
        }
        Ok(())
    }

    fn other(&mut self, step: &Step) -> Result<(), Difference> {
        let (at, what) = (self.at, show::step(self.at, step));
        self.pair.tally.others += 1;
        match step {
            Step::Ask(_) => unreachable!("requests come in batches"),
            Step::Connect(connect) => self.connect(&what, connect),
            Step::Raw { line, bytes } => self.pair.each(at, &what, |side| side.raw(*line, bytes, false)),
            Step::Stump { line, bytes } => self.pair.each(at, &what, |side| side.raw(*line, bytes, true)),
            Step::Drop { line } => self.pair.each(at, &what, |side| side.leave(*line)),
            Step::Expire { session, time_out } => self.expire(&what, *session, *time_out),
            Step::Word { bytes } => self.pair.each(at, &what, |side| vec![side.word(bytes)]),
        }
    }

    fn asks(&mut self, asks: Vec<Ask>) -> Result<(), Difference> {
        let line = asks[0].line;
        if !self.pair.tested.is_open(line) && !self.pair.reference.is_open(line) {
            return Ok(());
        }
        let what = show::asks(self.at + 1 - asks.len(), &asks);
        let (tested, reference) = self.pair.both(line, &asks);
        self.pair.tally.count(&asks, &reference);
        let Err(difference) = compare(self.at, &what, &tested, &reference) else { return Ok(()) };
        let rule = self.pair.rules.iter().find(|rule| asks[0].alone && rule.explains(&asks[0], &tested, &reference));
        let Some(rule) = rule else { return Err(difference) };
        self.pair.tally.explained(&rule.why);
        let repair = rule.repair.clone();
        if repair.contains(&Repair::End) {
            return Err(Difference { meant: true, ..difference });
        }
        if repair.contains(&Repair::Line) {
            self.pair.tested.leave(line);
            self.pair.reference.leave(line);
        }
        if repair.contains(&Repair::Zxid) {
            clean::take_zxids(&mut self.pair.tested, 1);
        }
        Ok(())
    }

    fn connect(&mut self, what: &str, connect: &Connect) -> Result<(), Difference> {
        self.pair.each(self.at, what, |side| side.connect(connect))
    }

    fn expire(&mut self, what: &str, session: SessionName, time_out: i32) -> Result<(), Difference> {
        let (tested, resumed) = self.pair.tested.begin_expiry(session, time_out);
        let (reference, also) = self.pair.reference.begin_expiry(session, time_out);
        compare(self.at, what, &tested, &reference)?;
        if resumed && also {
            let ends = |side: &mut Side| Item::End(if side.await_expiry(session) { "expired" } else { "silent" });
            let ends = (ends(&mut self.pair.tested), ends(&mut self.pair.reference));
            compare(self.at, what, &[ends.0], &[ends.1])?;
        }
        Ok(())
    }
}

/// The requests at the front that are sent at once; empty when the first step is something else.
fn batch(steps: &[Step]) -> Vec<Ask> {
    let mut asks: Vec<Ask> = Vec::new();
    for step in steps.iter().take(BATCH_MAX) {
        let Step::Ask(ask) = step else { break };
        if asks.first().is_some_and(|first| first.line != ask.line || ask.alone) {
            break;
        }
        asks.push(ask.clone());
        if ask.fence || ask.alone {
            break;
        }
    }
    asks
}
