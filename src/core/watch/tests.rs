use super::*;
use std::collections::{BTreeMap, BTreeSet};

const A: ConnId = ConnId(1);
const B: ConnId = ConnId(2);

type Heard = Vec<(ConnId, EventType, String)>;

fn heard(fire: impl FnOnce(&mut Notify<'_>)) -> Heard {
    let mut heard = Vec::new();
    fire(&mut |conn, event, path| heard.push((conn, event, path.to_owned())));
    heard
}

/// `created /p/c`, `deleted /p`, `changed /p`, and what came of it as `1:4@/p`.
fn run(watches: &mut Watches, change: &str) -> String {
    let (verb, path) = change.split_once(' ').unwrap();
    let heard = heard(|notify| match verb {
        "created" => watches.created(path, notify),
        "deleted" => watches.deleted(path, notify),
        "changed" => watches.data_changed(path, notify),
        other => panic!("{other}"),
    });
    let events: Vec<String> = heard.iter().map(|(c, e, p)| format!("{}:{}@{p}", c.0, *e as i32)).collect();
    events.join(" ")
}

#[test]
fn the_table_of_who_hears_what() {
    let all = ["created /p/c", "deleted /p/c", "changed /p", "deleted /p"];
    type Case = (&'static str, fn(&mut Watches), [&'static str; 4]);
    let expected: [Case; 6] = [
        ("data", |w| w.add_data("/p", A), ["", "", "1:3@/p", "1:2@/p"]),
        ("child", |w| w.add_child("/p", A), ["1:4@/p", "1:4@/p", "", "1:2@/p"]),
        (
            "both",
            |w| {
                w.add_data("/p", A);
                w.add_child("/p", A)
            },
            ["1:4@/p", "1:4@/p", "1:3@/p", "1:2@/p"],
        ),
        ("persistent", |w| w.add_persistent("/p", A, false), ["1:4@/p", "1:4@/p", "1:3@/p", "1:2@/p"]),
        ("recursive", |w| w.add_persistent("/p", A, true), ["1:1@/p/c", "1:2@/p/c", "1:3@/p", "1:2@/p"]),
        (
            "recursive and child",
            |w| {
                w.add_persistent("/p", A, true);
                w.add_child("/p", A)
            },
            ["1:1@/p/c 1:4@/p", "1:2@/p/c 1:4@/p", "1:3@/p", "1:2@/p"],
        ),
    ];
    for (name, add, expected) in expected {
        for (change, expected) in all.iter().zip(expected) {
            let mut watches = Watches::new();
            add(&mut watches);
            assert_eq!(run(&mut watches, change), expected, "{name}: {change}");
        }
    }
}

#[test]
fn one_shot_fires_once_and_persistent_stays() {
    let mut watches = Watches::new();
    watches.add_data("/p", A);
    watches.add_data("/p", A);
    watches.add_persistent("/p", B, false);
    assert_eq!(run(&mut watches, "changed /p"), "1:3@/p 2:3@/p");
    assert_eq!(run(&mut watches, "changed /p"), "2:3@/p");
    assert_eq!(run(&mut watches, "deleted /p"), "2:2@/p");
    assert_eq!(run(&mut watches, "created /p"), "2:1@/p");
}

#[test]
fn data_before_child_and_node_before_parent() {
    let mut watches = Watches::new();
    watches.add_child("/p", A);
    watches.add_child("/p/c", B);
    watches.add_data("/p/c", A);
    assert_eq!(run(&mut watches, "deleted /p/c"), "1:2@/p/c 2:2@/p/c 1:4@/p");
    watches.add_child("/", B);
    watches.add_data("/p", B);
    assert_eq!(run(&mut watches, "created /p"), "2:1@/p 2:4@/");
}

#[test]
fn a_connection_hears_once_however_many_of_its_watches_match() {
    let mut watches = Watches::new();
    for path in ["/", "/p", "/p/c"] {
        watches.add_persistent(path, A, true);
    }
    watches.add_data("/p/c", A);
    watches.add_persistent("/p/c", A, false);
    assert_eq!(run(&mut watches, "changed /p/c"), "1:3@/p/c");
    assert_eq!(run(&mut watches, "changed /p/c/d"), "1:3@/p/c/d");
    // A child watch is used up even by a deletion that its owner has heard of already.
    watches.add_child("/p/c", A);
    assert_eq!(run(&mut watches, "deleted /p/c"), "1:2@/p/c");
    assert!(!watches.contains("/p/c", A, 1));
    watches.add_child("/x", B);
    watches.add_persistent("/", B, true);
    assert_eq!(run(&mut watches, "deleted /x"), "1:2@/x 2:2@/x");
    assert!(!watches.contains("/x", B, 3));
}

#[test]
fn siblings_with_a_common_prefix_are_not_descendants() {
    let mut watches = Watches::new();
    watches.add_persistent("/ab", A, true);
    assert_eq!(run(&mut watches, "changed /abc"), "");
    assert_eq!(run(&mut watches, "changed /ab/c"), "1:3@/ab/c");
}

#[test]
fn removal_takes_the_named_kind_only() {
    let mut watches = Watches::new();
    watches.add_data("/p", A);
    watches.add_child("/p", A);
    watches.add_persistent("/p", A, false);
    watches.add_persistent("/p", A, true);
    for kind in 1..=5 {
        assert!(watches.contains("/p", A, kind), "{kind}");
        assert!(!watches.contains("/p", B, kind), "{kind}");
    }
    assert!(!watches.contains("/p", A, 6) && !watches.remove("/p", A, 0));
    assert!(watches.remove("/p", A, 4));
    assert_eq!([1, 2, 3, 4, 5].map(|kind| watches.contains("/p", A, kind)), [true, true, true, false, true]);
    assert!(watches.remove("/p", A, 1) && !watches.remove("/p", A, 1));
    assert!(watches.remove("/p", A, 5) && watches.remove("/p", A, 3) && !watches.remove("/p", A, 3));
    assert!(watches.is_empty());
}

#[test]
fn dumps_show_the_data_table() {
    let mut watches = Watches::new();
    watches.add_child("/c", A);
    watches.add_data("/d", A);
    watches.add_persistent("/d", B, false);
    watches.add_persistent("/e", B, true);
    assert_eq!(watches.counts(), WatchCounts { connections: 2, paths: 2, watches: 3 });
    assert_eq!(watches.len(), 5, "with /c, and /d once more as a child watch");
    assert_eq!(watches.by_path().collect::<Vec<_>>(), [("/d", vec![A, B]), ("/e", vec![B])]);
    let mut of_b: Vec<&str> = watches.by_connection().find(|(conn, _)| *conn == B).unwrap().1;
    of_b.sort_unstable();
    assert_eq!(of_b, ["/d", "/e"]);
    watches.remove_connection(A);
    watches.remove_connection(B);
    assert_eq!((watches.counts(), watches.len()), (WatchCounts::default(), 0));
}

/// Apache's own data structures, as literally as Rust allows: two tables, sets of modes.
#[derive(Default)]
struct Model {
    data: BTreeMap<(String, ConnId), BTreeSet<u8>>,
    child: BTreeMap<(String, ConnId), BTreeSet<u8>>,
}

const STANDARD: u8 = 0;
const PERSISTENT: u8 = 1;
const RECURSIVE: u8 = 2;

impl Model {
    fn trigger(
        table: &mut BTreeMap<(String, ConnId), BTreeSet<u8>>,
        path: &str,
        event: EventType,
        told: &BTreeSet<ConnId>,
        heard: &mut Heard,
    ) -> BTreeSet<ConnId> {
        let mut now = BTreeSet::new();
        for ((at, conn), modes) in table.iter_mut() {
            if at == path {
                now.insert(*conn);
                modes.remove(&STANDARD);
            } else if modes.contains(&RECURSIVE) && (at == "/" || path.starts_with(&format!("{at}/"))) {
                now.insert(*conn);
            }
        }
        table.retain(|_, modes| !modes.is_empty());
        heard.extend(now.difference(told).map(|conn| (*conn, event, path.to_owned())));
        now
    }

    fn change(&mut self, what: EventType, path: &str) -> Heard {
        let (mut heard, nobody) = (Vec::new(), BTreeSet::new());
        let told = Self::trigger(&mut self.data, path, what, &nobody, &mut heard);
        if what == EventType::NodeDeleted {
            Self::trigger(&mut self.child, path, what, &told, &mut heard);
        }
        if what != EventType::NodeDataChanged {
            let parent = match path.rfind('/').unwrap() {
                0 => "/",
                at => &path[..at],
            };
            Self::trigger(&mut self.child, parent, EventType::NodeChildrenChanged, &nobody, &mut heard);
        }
        heard
    }

    fn tables(&self, kind: i32) -> (bool, bool, Vec<u8>) {
        match kind {
            1 => (false, true, vec![STANDARD]),
            2 => (true, false, vec![STANDARD]),
            3 => (true, true, vec![STANDARD, PERSISTENT, RECURSIVE]),
            4 => (true, true, vec![PERSISTENT]),
            _ => (true, false, vec![RECURSIVE]),
        }
    }

    fn remove(&mut self, path: &str, conn: ConnId, kind: i32) -> bool {
        let (data, child, gone) = self.tables(kind);
        let mut removed = false;
        for (table, wanted) in [(&mut self.data, data), (&mut self.child, child)] {
            if let Some(modes) = table.get_mut(&(path.to_owned(), conn)).filter(|_| wanted) {
                removed |= gone.iter().fold(false, |any, mode| modes.remove(mode) | any);
            }
            table.retain(|_, modes| !modes.is_empty());
        }
        removed
    }

    fn contains(&self, path: &str, conn: ConnId, kind: i32) -> bool {
        let (data, child, wanted) = self.tables(kind);
        let has = |table: &BTreeMap<(String, ConnId), BTreeSet<u8>>| {
            table.get(&(path.to_owned(), conn)).is_some_and(|modes| wanted.iter().any(|mode| modes.contains(mode)))
        };
        data && has(&self.data) || child && has(&self.child)
    }
}

struct XorShift(u64);

impl XorShift {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// What each connection hears, in its order; between connections there is none.
fn by_connection(mut heard: Heard) -> Heard {
    heard.sort_by_key(|(conn, ..)| *conn);
    heard
}

fn step(random: &mut XorShift, watches: &mut Watches, model: &mut Model, paths: &[&str], connections: u64) {
    let path = paths[random.below(paths.len() as u64) as usize];
    let conn = ConnId(random.below(connections));
    let key = (path.to_owned(), conn);
    match random.below(16) {
        0..=2 => {
            watches.add_data(path, conn);
            model.data.entry(key).or_default().insert(STANDARD);
        }
        3..=5 => {
            watches.add_child(path, conn);
            model.child.entry(key).or_default().insert(STANDARD);
        }
        6..=7 => {
            watches.add_persistent(path, conn, false);
            model.data.entry(key.clone()).or_default().insert(PERSISTENT);
            model.child.entry(key).or_default().insert(PERSISTENT);
        }
        8 => {
            watches.add_persistent(path, conn, true);
            model.data.entry(key).or_default().insert(RECURSIVE);
        }
        9 => {
            watches.remove_connection(conn);
            model.data.retain(|(_, c), _| *c != conn);
            model.child.retain(|(_, c), _| *c != conn);
        }
        10..=12 => {
            let kind = 1 + random.below(5) as i32;
            assert_eq!(watches.contains(path, conn, kind), model.contains(path, conn, kind), "{path} {kind}");
            assert_eq!(watches.remove(path, conn, kind), model.remove(path, conn, kind), "{path} {kind}");
        }
        other => {
            let what = [EventType::NodeCreated, EventType::NodeDeleted, EventType::NodeDataChanged];
            let what = what[other as usize - 13];
            let real = heard(|notify| match what {
                EventType::NodeCreated => watches.created(path, notify),
                EventType::NodeDeleted => watches.deleted(path, notify),
                _ => watches.data_changed(path, notify),
            });
            assert_eq!(by_connection(real), by_connection(model.change(what, path)), "{what:?} {path}");
        }
    }
}

fn compare_all(watches: &Watches, model: &Model, paths: &[&str], connections: u64) {
    for path in paths {
        for (conn, kind) in (0..connections).flat_map(|conn| (1..=5).map(move |kind| (ConnId(conn), kind))) {
            assert_eq!(watches.contains(path, conn, kind), model.contains(path, conn, kind), "{path} {conn:?} {kind}");
        }
    }
    assert_eq!(watches.len(), model.data.len() + model.child.len());
    let paths: BTreeSet<&String> = model.data.keys().map(|(path, _)| path).collect();
    let connections: BTreeSet<ConnId> = model.data.keys().map(|(_, conn)| *conn).collect();
    let counts = WatchCounts { connections: connections.len(), paths: paths.len(), watches: model.data.len() };
    assert_eq!(watches.counts(), counts);
    assert_eq!(watches.totals.recursive, model.data.values().filter(|modes| modes.contains(&RECURSIVE)).count());
}

#[test]
fn does_what_apaches_two_tables_do() {
    let paths = ["/", "/a", "/a/b", "/a/b/c", "/a/bc", "/a/b/c/d", "/b"];
    // Few connections make combinations of modes likely, many make long lists.
    for (seed, connections) in [(0x5eed_0001, 3), (0x5eed_0002, 6), (0x5eed_0003, 60)] {
        let (mut random, mut watches, mut model) = (XorShift(seed), Watches::new(), Model::default());
        for turn in 0..20_000 {
            step(&mut random, &mut watches, &mut model, &paths, connections);
            if turn % 50 == 0 {
                compare_all(&watches, &model, &paths, connections);
            }
        }
        (0..connections).for_each(|conn| watches.remove_connection(ConnId(conn)));
        assert!(watches.is_empty() && watches.connections.is_empty() && watches.slots.is_empty());
    }
}

#[test]
fn a_list_that_shrinks_becomes_small_again() {
    let mut list = WatcherList::default();
    (0..100).for_each(|conn| list.set(ConnId(conn), Modes::DATA));
    assert!(matches!(list, WatcherList::Many(_)));
    (0..95).for_each(|conn| list.set(ConnId(conn), Modes::NONE));
    assert!(matches!(&list, WatcherList::Few(few) if few.len() == 5));
    assert_eq!((list.get(ConnId(94)), list.get(ConnId(95))), (Modes::NONE, Modes::DATA));
    list.strip(Modes::DATA, |_, _, _| {});
    assert!(list.is_empty());
}
