//! Who watches what, and who hears of a change (Java: `WatchManager`, twice, in `DataTree`).
//!
//! Registering, firing and dropping cost what they touch, not what exists: a path is stored once
//! however many watch it, a connection knows its paths, and ancestors are looked at only while
//! somebody watches recursively.

mod list;
mod modes;
#[cfg(test)]
mod tests;

use crate::hash::NumberHash;
use crate::ids::ConnId;
use indexmap::IndexSet;
use list::WatcherList;
use modes::Modes;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use zorilla_protocol::path::{ROOT, parent};

/// How long a watch lives and how far it sees (Java: `WatcherMode`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchMode {
    /// Gone with its first event. Left by reads.
    Standard,
    /// Data, existence and children of one path, until removed.
    Persistent,
    /// Data and existence of a path and everything below it, until removed; never the children event.
    PersistentRecursive,
}

impl WatchMode {
    /// The mode of an addWatch request; `None` for a number that is answered with MARSHALLINGERROR.
    pub fn from_number(mode: i32) -> Option<WatchMode> {
        match mode {
            0 => Some(WatchMode::Persistent),
            1 => Some(WatchMode::PersistentRecursive),
            _ => None,
        }
    }
}

/// What happened, as its number travels in a notification. It also says whose ACL decides if a
/// connection may know: the parent's for `NodeChildrenChanged` (which is told of the parent's path),
/// otherwise that of the node told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs)] // ZooKeeper's own names
pub enum EventType {
    NodeCreated = 1,
    NodeDeleted = 2,
    NodeDataChanged = 3,
    NodeChildrenChanged = 4,
}

/// The state in every notification of a server (Java: `KeeperState.SyncConnected`).
pub const SYNC_CONNECTED: i32 = 3;

/// Is told of one event for one connection: who, what, at which path.
pub type Notify<'a> = dyn FnMut(ConnId, EventType, &str) + 'a;

/// The numbers of the `wchs` word: entries of the data table only, as Apache counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct WatchCounts {
    /// Connections with at least one entry.
    pub connections: usize,
    /// Paths with at least one entry.
    pub paths: usize,
    /// Entries: pairs of path and connection.
    pub watches: usize,
}

type PathId = u32;

/// A path that is watched, or a free place.
#[derive(Debug, Default)]
struct Slot {
    path: Option<Arc<str>>,
    watchers: WatcherList,
}

/// All watches of a server. A path is in `ids` exactly while its slot has watchers, and in a
/// connection's set exactly while that connection is among them.
#[derive(Debug, Default)]
pub struct Watches {
    // Clients choose paths, so these are hashed with a key; nothing ever iterates over them.
    ids: HashMap<Arc<str>, PathId>,
    slots: Vec<Slot>,
    free: Vec<PathId>,
    connections: HashMap<ConnId, HashSet<PathId, NumberHash>, NumberHash>,
    totals: Totals,
}

/// Entries by what they are, so that metrics need no walk.
#[derive(Debug, Default)]
struct Totals {
    data: usize,
    child: usize,
    recursive: usize,
}

impl Totals {
    fn change(&mut self, old: Modes, new: Modes) {
        for (total, modes) in [
            (&mut self.data, Modes::DATA_TABLE),
            (&mut self.child, Modes::CHILD_TABLE),
            (&mut self.recursive, Modes::RECURSIVE),
        ] {
            *total = *total + usize::from(new.meets(modes)) - usize::from(old.meets(modes));
        }
    }
}

impl Watches {
    /// No watches.
    pub fn new() -> Self {
        Self::default()
    }

    /// Leaves a one-shot watch for data, existence and deletion, as getData and exists do.
    pub fn add_data(&mut self, path: &str, conn: ConnId) {
        self.add(path, conn, Modes::DATA);
    }

    /// Leaves a one-shot watch for children and deletion, as getChildren does.
    pub fn add_child(&mut self, path: &str, conn: ConnId) {
        self.add(path, conn, Modes::CHILD);
    }

    /// Leaves a watch that stays, as addWatch does. Adds to what the connection has at the path.
    pub fn add_persistent(&mut self, path: &str, conn: ConnId, recursive: bool) {
        self.add(path, conn, if recursive { Modes::RECURSIVE } else { Modes::PERSISTENT });
    }

    fn add(&mut self, path: &str, conn: ConnId, modes: Modes) {
        let id = self.intern(path);
        let watchers = &mut self.slots[id as usize].watchers;
        let old = watchers.get(conn);
        let new = old.with(modes);
        if new == old {
            return;
        }
        watchers.set(conn, new);
        self.totals.change(old, new);
        if old == Modes::NONE {
            self.connections.entry(conn).or_default().insert(id);
        }
    }

    fn intern(&mut self, path: &str) -> PathId {
        if let Some(id) = self.ids.get(path) {
            return *id;
        }
        let path: Arc<str> = path.into();
        let slot = Slot { path: Some(path.clone()), watchers: WatcherList::Empty };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = slot;
                id
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as PathId
            }
        };
        self.ids.insert(path, id);
        id
    }

    /// A node came to be: tells of it, and the parent's watchers of its children.
    pub fn created(&mut self, path: &str, notify: &mut Notify<'_>) {
        self.fire_data(path, EventType::NodeCreated, notify);
        self.fire_children_of_parent(path, notify);
    }

    /// A node's data was set.
    pub fn data_changed(&mut self, path: &str, notify: &mut Notify<'_>) {
        self.fire_data(path, EventType::NodeDataChanged, notify);
    }

    /// A node is gone: tells the data watchers, then those child watchers that have not heard yet, then
    /// the parent's watchers of its children.
    pub fn deleted(&mut self, path: &str, notify: &mut Notify<'_>) {
        let event = EventType::NodeDeleted;
        let above = self.recursive_above(path);
        let id = self.ids.get(path).copied();
        if let Some(id) = id {
            self.tell(id, Modes::DATA_TABLE, Modes::NONE, event, notify, |_| true);
        }
        above.iter().for_each(|conn| notify(*conn, event, path));
        if let Some(id) = id {
            self.tell(id, Modes::CHILD_TABLE, Modes::DATA_TABLE, event, notify, |conn| !above.contains(&conn));
            self.strip(id, Modes::DATA.with(Modes::CHILD));
        }
        self.fire_children_of_parent(path, notify);
    }

    fn fire_data(&mut self, path: &str, event: EventType, notify: &mut Notify<'_>) {
        let above = self.recursive_above(path);
        if let Some(id) = self.ids.get(path).copied() {
            self.tell(id, Modes::DATA_TABLE, Modes::NONE, event, notify, |_| true);
            self.strip(id, Modes::DATA);
        }
        above.iter().for_each(|conn| notify(*conn, event, path));
    }

    fn fire_children_of_parent(&mut self, path: &str, notify: &mut Notify<'_>) {
        let id = parent(path).and_then(|parent| self.ids.get(parent)).copied();
        if let Some(id) = id {
            self.tell(id, Modes::CHILD_TABLE, Modes::NONE, EventType::NodeChildrenChanged, notify, |_| true);
            self.strip(id, Modes::CHILD);
        }
    }

    /// Connections that watch an ancestor recursively and do not stand in the data table at `path`
    /// itself: each once, whatever the number of ancestors.
    fn recursive_above(&self, path: &str) -> IndexSet<ConnId, NumberHash> {
        let mut above = IndexSet::default();
        if self.totals.recursive == 0 {
            return above;
        }
        let here = self.ids.get(path).map(|id| &self.slots[*id as usize].watchers);
        let mut at = path;
        while at != ROOT
            && let Some(ancestor) = parent(at)
        {
            if let Some(id) = self.ids.get(ancestor) {
                let watchers = self.slots[*id as usize].watchers.iter();
                let recursive = watchers.filter(|(_, modes)| modes.meets(Modes::RECURSIVE)).map(|(conn, _)| conn);
                let hears_here = |conn| here.is_some_and(|here| here.get(conn).meets(Modes::DATA_TABLE));
                above.extend(recursive.filter(|conn| !hears_here(*conn)));
            }
            at = ancestor;
        }
        above
    }

    /// Notifies those in a slot who have one of `modes`, none of `but_not`, and pass.
    fn tell(
        &self,
        id: PathId,
        modes: Modes,
        but_not: Modes,
        event: EventType,
        notify: &mut Notify<'_>,
        pass: impl Fn(ConnId) -> bool,
    ) {
        let Slot { path: Some(path), watchers } = &self.slots[id as usize] else { return };
        for (conn, has) in watchers.iter() {
            if has.meets(modes) && !has.meets(but_not) && pass(conn) {
                notify(conn, event, path);
            }
        }
    }

    /// Takes modes off everyone in a slot.
    fn strip(&mut self, id: PathId, gone: Modes) {
        let Watches { slots, connections, totals, .. } = self;
        slots[id as usize].watchers.strip(gone, |conn, old, new| {
            totals.change(old, new);
            if new == Modes::NONE {
                forget(connections, conn, id);
            }
        });
        self.release_if_unwatched(id);
    }

    /// Whether the connection has such a watch, by checkWatches' numbers: 1 children, 2 data, 3 any,
    /// 4 persistent, 5 persistent recursive. No for other numbers.
    pub fn contains(&self, path: &str, conn: ConnId, kind: i32) -> bool {
        let id = self.ids.get(path);
        id.is_some_and(|id| self.slots[*id as usize].watchers.get(conn).meets(Modes::of_kind(kind)))
    }

    /// Removes the connection's watches of one kind (numbers as in [`Watches::contains`]) and no other.
    /// Says whether there was one.
    pub fn remove(&mut self, path: &str, conn: ConnId, kind: i32) -> bool {
        let Some(id) = self.ids.get(path).copied() else { return false };
        let watchers = &mut self.slots[id as usize].watchers;
        let old = watchers.get(conn);
        let new = old.without(Modes::of_kind(kind));
        if new == old {
            return false;
        }
        watchers.set(conn, new);
        self.totals.change(old, new);
        if new == Modes::NONE {
            forget(&mut self.connections, conn, id);
            self.release_if_unwatched(id);
        }
        true
    }

    /// Drops all of a connection's watches: watches belong to connections, not to sessions.
    pub fn remove_connection(&mut self, conn: ConnId) {
        for id in self.connections.remove(&conn).unwrap_or_default() {
            let watchers = &mut self.slots[id as usize].watchers;
            self.totals.change(watchers.get(conn), Modes::NONE);
            watchers.set(conn, Modes::NONE);
            self.release_if_unwatched(id);
        }
    }

    fn release_if_unwatched(&mut self, id: PathId) {
        let slot = &mut self.slots[id as usize];
        if !slot.watchers.is_empty() {
            return;
        }
        if let Some(path) = slot.path.take() {
            self.ids.remove(&path);
            self.free.push(id);
        }
        if self.ids.is_empty() {
            // Whatever a burst of watches took goes back to the system.
            *self = Watches::default();
        }
    }

    /// Entries of both tables, as `mntr` and the metrics count (`watch_count`).
    pub fn len(&self) -> usize {
        self.totals.data + self.totals.child
    }

    /// Whether nobody watches anything.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The numbers of `wchs`. Looks at every entry.
    pub fn counts(&self) -> WatchCounts {
        WatchCounts {
            connections: self.by_connection().count(),
            paths: self.by_path().count(),
            watches: self.totals.data,
        }
    }

    /// Paths with an entry in the data table, and the connections that have it (`wchp`).
    pub fn by_path(&self) -> impl Iterator<Item = (&str, Vec<ConnId>)> {
        self.slots.iter().filter_map(|slot| {
            let data = slot.watchers.iter().filter(|(_, modes)| modes.meets(Modes::DATA_TABLE));
            let connections: Vec<ConnId> = data.map(|(conn, _)| conn).collect();
            Some((slot.path.as_deref()?, connections)).filter(|(_, connections)| !connections.is_empty())
        })
    }

    /// Connections with an entry in the data table, and its paths (`wchc`).
    pub fn by_connection(&self) -> impl Iterator<Item = (ConnId, Vec<&str>)> {
        self.connections.iter().filter_map(|(conn, ids)| {
            let slots = ids.iter().map(|id| &self.slots[*id as usize]);
            let data = slots.filter(|slot| slot.watchers.get(*conn).meets(Modes::DATA_TABLE));
            let paths: Vec<&str> = data.filter_map(|slot| slot.path.as_deref()).collect();
            Some((*conn, paths)).filter(|(_, paths)| !paths.is_empty())
        })
    }
}

fn forget(connections: &mut HashMap<ConnId, HashSet<PathId, NumberHash>, NumberHash>, conn: ConnId, id: PathId) {
    if let Some(ids) = connections.get_mut(&conn) {
        ids.remove(&id);
        if ids.is_empty() {
            connections.remove(&conn);
        }
    }
}
