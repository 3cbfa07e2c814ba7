//! Makes a failing history as short as it can be made in a bounded time: delta debugging over its steps.

use std::time::{Duration, Instant};

use super::history::{History, Step};
use super::run::{Broken, Difference, Pair};

const LIMIT: Duration = Duration::from_secs(60);

/// A shorter history that still shows a difference, and that difference.
pub fn shrink(pair: &mut Pair, history: &History, found: Difference) -> Result<(History, Difference), Broken> {
    let mut shrinking = Shrinking { pair, best: history.clone(), found, until: Instant::now() + LIMIT };
    let end = (shrinking.found.step + 1).min(history.steps.len());
    shrinking.attempt(history.steps[..end].to_vec())?;
    shrinking.attempt(fenced(&shrinking.best.steps))?;
    let mut size = shrinking.best.steps.len().div_ceil(2);
    while size > 0 && Instant::now() < shrinking.until {
        let removed = shrinking.without_chunks(size)?;
        size = if removed && size == 1 { 1 } else { size / 2 };
    }
    Ok((shrinking.best, shrinking.found))
}

/// The same steps, one at a time.
pub fn fenced(steps: &[Step]) -> Vec<Step> {
    let mut steps = steps.to_vec();
    for step in &mut steps {
        if let Step::Ask(ask) = step {
            ask.fence = true;
        }
    }
    steps
}

struct Shrinking<'a> {
    pair: &'a mut Pair,
    best: History,
    found: Difference,
    until: Instant,
}

impl Shrinking<'_> {
    /// Tries to do without each run of `size` steps. True when one was not needed.
    fn without_chunks(&mut self, size: usize) -> Result<bool, Broken> {
        let mut removed = false;
        let mut end = self.best.steps.len();
        while end > 0 && Instant::now() < self.until {
            let start = end.saturating_sub(size);
            let mut steps = self.best.steps.clone();
            steps.drain(start..end.min(steps.len()));
            removed |= self.attempt(steps)?;
            end = start.min(self.best.steps.len());
        }
        Ok(removed)
    }

    fn attempt(&mut self, steps: Vec<Step>) -> Result<bool, Broken> {
        let candidate = History { steps, ..self.best.clone() };
        let Some(difference) = self.pair.play(&candidate)? else { return Ok(false) };
        self.best = candidate;
        self.found = difference;
        Ok(true)
    }
}
