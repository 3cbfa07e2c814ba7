//! Quorum arithmetic that has never heard of ZAB.

use std::collections::BTreeSet;
use zorilla_protocol::Sid;

/// More than half of the voters (Java: `QuorumMaj`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Majority {
    voters: BTreeSet<Sid>,
}

impl Majority {
    /// The quorums of these voters.
    pub fn of(voters: impl IntoIterator<Item = Sid>) -> Majority {
        Majority { voters: voters.into_iter().collect() }
    }

    /// Who votes.
    pub fn voters(&self) -> impl Iterator<Item = Sid> + '_ {
        self.voters.iter().copied()
    }

    /// Whether the voters among `sids` are a quorum. Others do not count.
    pub fn contains(&self, sids: impl IntoIterator<Item = Sid>) -> bool {
        let heard: BTreeSet<Sid> = sids.into_iter().filter(|sid| self.voters.contains(sid)).collect();
        heard.len() > self.voters.len() / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_half_of_the_voters_and_nobody_else() {
        let three = Majority::of([1, 2, 3].map(Sid));
        assert!(!three.contains([Sid(1)]));
        assert!(!three.contains([Sid(1), Sid(1), Sid(9)]));
        assert!(three.contains([Sid(1), Sid(3)]));
        assert!(Majority::of([Sid(1)]).contains([Sid(1)]));
        assert!(!Majority::of([1, 2, 3, 4].map(Sid)).contains([1, 2].map(Sid)));
    }
}
