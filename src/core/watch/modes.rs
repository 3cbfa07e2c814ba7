//! What a connection wants to hear of at one path.

/// Apache keeps a data and a child table, each with a set of modes per path and connection. As the
/// persistent mode always stands in both and the recursive one only ever in the data table, four bits
/// say the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Modes(u8);

impl Modes {
    pub const NONE: Modes = Modes(0);
    /// Standard, in the data table: left by getData and exists.
    pub const DATA: Modes = Modes(1);
    /// Standard, in the child table: left by getChildren.
    pub const CHILD: Modes = Modes(2);
    pub const PERSISTENT: Modes = Modes(4);
    pub const RECURSIVE: Modes = Modes(8);

    /// Whatever is an entry of the data table.
    pub const DATA_TABLE: Modes = Modes(1 | 4 | 8);
    /// Whatever is an entry of the child table.
    pub const CHILD_TABLE: Modes = Modes(2 | 4);
    pub const ANY: Modes = Modes(15);

    pub fn with(self, other: Modes) -> Modes {
        Modes(self.0 | other.0)
    }

    pub fn without(self, other: Modes) -> Modes {
        Modes(self.0 & !other.0)
    }

    /// Whether the two have a mode in common.
    pub fn meets(self, other: Modes) -> bool {
        self.0 & other.0 != 0
    }

    /// The modes that checkWatches and removeWatches mean by a number (Java: `Watcher.WatcherType`).
    pub fn of_kind(kind: i32) -> Modes {
        match kind {
            1 => Modes::CHILD,
            2 => Modes::DATA,
            3 => Modes::ANY,
            4 => Modes::PERSISTENT,
            5 => Modes::RECURSIVE,
            _ => Modes::NONE,
        }
    }
}
