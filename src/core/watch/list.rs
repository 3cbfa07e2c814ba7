//! The watchers of one path: most paths have one, a few have ten thousand.

use super::modes::Modes;
use crate::hash::NumberHash;
use crate::ids::ConnId;
use indexmap::IndexMap;

/// Up to so many watchers a scan is quicker than a hash, and smaller.
const FEW_MAX: usize = 16;

/// Connections with their modes, in the order they came. Every connection stands in it once, with at
/// least one mode.
#[derive(Debug, Default)]
pub(super) enum WatcherList {
    #[default]
    Empty,
    One(ConnId, Modes),
    Few(Vec<(ConnId, Modes)>),
    Many(Box<IndexMap<ConnId, Modes, NumberHash>>),
}

impl WatcherList {
    pub fn is_empty(&self) -> bool {
        matches!(self, WatcherList::Empty)
    }

    /// The connection's modes, none if it is not in the list.
    pub fn get(&self, conn: ConnId) -> Modes {
        match self {
            WatcherList::Empty => Modes::NONE,
            WatcherList::One(one, modes) => {
                if *one == conn {
                    *modes
                } else {
                    Modes::NONE
                }
            }
            WatcherList::Few(few) => few.iter().find(|(c, _)| *c == conn).map_or(Modes::NONE, |(_, modes)| *modes),
            WatcherList::Many(many) => many.get(&conn).copied().unwrap_or(Modes::NONE),
        }
    }

    /// Sets the connection's modes; none takes it off the list.
    pub fn set(&mut self, conn: ConnId, modes: Modes) {
        if modes == Modes::NONE {
            return self.remove(conn);
        }
        match self {
            WatcherList::Empty => *self = WatcherList::One(conn, modes),
            WatcherList::One(one, old) if *one == conn => *old = modes,
            WatcherList::One(one, old) => *self = WatcherList::Few(vec![(*one, *old), (conn, modes)]),
            WatcherList::Few(few) => match few.iter().position(|(c, _)| *c == conn) {
                Some(at) => few[at].1 = modes,
                None if few.len() < FEW_MAX => few.push((conn, modes)),
                None => {
                    let all = few.drain(..).chain([(conn, modes)]).collect();
                    *self = WatcherList::Many(Box::new(all));
                }
            },
            WatcherList::Many(many) => drop(many.insert(conn, modes)),
        }
    }

    fn remove(&mut self, conn: ConnId) {
        match self {
            WatcherList::Empty => {}
            WatcherList::One(one, _) => {
                if *one == conn {
                    *self = WatcherList::Empty
                }
            }
            WatcherList::Few(few) => few.retain(|(c, _)| *c != conn),
            WatcherList::Many(many) => drop(many.swap_remove(&conn)),
        }
        self.fit();
    }

    /// Takes `gone` off everyone; tells `changed` the modes before and after, where they differ.
    pub fn strip(&mut self, gone: Modes, mut changed: impl FnMut(ConnId, Modes, Modes)) {
        let mut keep = |conn: ConnId, modes: &mut Modes| {
            let left = modes.without(gone);
            if left != *modes {
                changed(conn, *modes, left);
                *modes = left;
            }
            left != Modes::NONE
        };
        match self {
            WatcherList::Empty => {}
            WatcherList::One(conn, modes) => {
                if !keep(*conn, modes) {
                    *self = WatcherList::Empty
                }
            }
            WatcherList::Few(few) => few.retain_mut(|(conn, modes)| keep(*conn, modes)),
            WatcherList::Many(many) => many.retain(|conn, modes| keep(*conn, modes)),
        }
        self.fit();
    }

    /// Goes back to the smaller form once that has room to spare.
    fn fit(&mut self) {
        match self {
            WatcherList::Few(few) if few.is_empty() => *self = WatcherList::Empty,
            WatcherList::Many(many) if many.is_empty() => *self = WatcherList::Empty,
            WatcherList::Many(many) if many.len() <= FEW_MAX / 2 => *self = WatcherList::Few(many.drain(..).collect()),
            _ => {}
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (ConnId, Modes)> + '_ {
        let (one, few, many) = match self {
            WatcherList::Empty => (None, None, None),
            WatcherList::One(conn, modes) => (Some((*conn, *modes)), None, None),
            WatcherList::Few(few) => (None, Some(few.iter().copied()), None),
            WatcherList::Many(many) => (None, None, Some(many.iter().map(|(conn, modes)| (*conn, *modes)))),
        };
        one.into_iter().chain(few.into_iter().flatten()).chain(many.into_iter().flatten())
    }
}
