//! The leader's broadcast phase: proposals out, acks in, commits in order (Java: `Leader.propose`,
//! `processAck`, `tryToCommit`).

use super::quorum::Majority;
use std::collections::BTreeMap;
use zorilla_protocol::{Sid, Zxid};

/// Which proposals are on disk where, and up to where a quorum has them.
#[derive(Clone, Debug)]
pub struct Broadcast {
    quorum: Majority,
    proposed: Zxid,
    committed: Zxid,
    /// The last zxid each member has on disk. Acks are cumulative because every log is a prefix.
    acked: BTreeMap<Sid, Zxid>,
}

impl Broadcast {
    /// Everything up to `committed` is committed already.
    pub fn new(quorum: Majority, committed: Zxid) -> Broadcast {
        Broadcast { quorum, proposed: committed, committed, acked: BTreeMap::new() }
    }

    /// The last proposal.
    pub fn proposed(&self) -> Zxid {
        self.proposed
    }

    /// The last commit.
    pub fn committed(&self) -> Zxid {
        self.committed
    }

    /// The zxid of the next proposal.
    pub fn propose(&mut self) -> Zxid {
        self.proposed = self.proposed.next();
        self.proposed
    }

    /// `sid` has everything up to `through` on disk. Returns the new commit point if it moved.
    pub fn on_ack(&mut self, sid: Sid, through: Zxid) -> Option<Zxid> {
        assert!(through <= self.proposed, "{sid:?} acked {through}, proposed is {}", self.proposed);
        let acked = self.acked.entry(sid).or_insert(through);
        *acked = (*acked).max(through);
        let candidate = self.acked.values().copied().filter(|zxid| *zxid > self.committed).filter(|zxid| {
            self.quorum.contains(self.acked.iter().filter(|(_, acked)| *acked >= zxid).map(|(sid, _)| *sid))
        });
        let committed = candidate.max()?;
        self.committed = committed;
        self.validate();
        Some(committed)
    }

    /// Proposals that were never on any disk are taken back: only a leader whose quorum is itself may
    /// do so, because nobody else has heard of them.
    pub fn withdraw(&mut self, last: Zxid) {
        assert!(self.quorum.voters().count() == 1, "proposals that others may have heard of cannot be withdrawn");
        assert!(last >= self.committed, "{last} is behind the commit point {}", self.committed);
        self.proposed = last;
    }

    fn validate(&self) {
        assert!(self.committed <= self.proposed, "committed {} beyond proposed {}", self.committed, self.proposed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commits_what_a_quorum_has() {
        let mut three = Broadcast::new(Majority::of([1, 2, 3].map(Sid)), Zxid(10));
        for expected in 11..=14 {
            assert_eq!(three.propose(), Zxid(expected));
        }
        assert_eq!(three.on_ack(Sid(1), Zxid(14)), None, "one of three is no quorum");
        assert_eq!(three.on_ack(Sid(2), Zxid(12)), Some(Zxid(12)));
        assert_eq!(three.on_ack(Sid(3), Zxid(11)), None, "nothing new");
        assert_eq!(three.on_ack(Sid(3), Zxid(13)), Some(Zxid(13)));
        assert_eq!(three.on_ack(Sid(1), Zxid(11)), None, "what is on a disk does not leave it");
        assert_eq!(three.on_ack(Sid(3), Zxid(14)), Some(Zxid(14)));
    }

    #[test]
    fn alone_its_own_ack_commits() {
        let mut alone = Broadcast::new(Majority::of([Sid(1)]), Zxid::ZERO);
        alone.propose();
        alone.propose();
        assert_eq!(alone.on_ack(Sid(1), Zxid(1)), Some(Zxid(1)));
        alone.withdraw(Zxid(1));
        assert_eq!(alone.propose(), Zxid(2), "a withdrawn zxid is used again");
    }

    #[test]
    #[should_panic(expected = "proposed is")]
    fn nobody_acks_what_was_not_proposed() {
        Broadcast::new(Majority::of([Sid(1)]), Zxid(1)).on_ack(Sid(1), Zxid(2));
    }
}
