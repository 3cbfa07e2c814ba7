//! Applying a committed txn that was prepared here: its znodes are in the making since then, so they
//! are put in their places, where [`Tree::apply`] would make them again.
//!
//! Both ways lead to the same tree, which the tests of `op` check step by step on random histories; in
//! the server, the txn's digest tells.

use super::acl_table::AclTable;
use super::apply::{Event, EventKind, TxnResult};
use super::cold::StoreError;
use super::memory::{ChildrenEdit, Tree};
use super::outstanding::Wrote;
use super::znode::Znode;
use std::sync::Arc;
use zorilla_protocol::path;
use zorilla_protocol::txn::{Txn, TxnHeader};

/// Whether the znodes that a txn writes say all that it does. The others are rare.
pub(super) fn is_told_by_its_writes(txn: &Txn) -> bool {
    match txn {
        Txn::Create(_)
        | Txn::Create2(_)
        | Txn::CreateContainer(_)
        | Txn::CreateTtl(_)
        | Txn::Delete(_)
        | Txn::DeleteContainer(_)
        | Txn::SetData(_) => true,
        Txn::Multi(parts) => parts.iter().all(|part| matches!(part, Txn::Check(_)) || is_told_by_its_writes(part)),
        _ => false,
    }
}

/// Which writes a txn has is decided where it is prepared.
const WRITES: &str = "a txn has the writes that its kind says";

impl Tree {
    /// Applies a txn [told by its writes](is_told_by_its_writes), which are those that were prepared
    /// with it.
    pub(super) fn take_over(
        &mut self,
        header: &TxnHeader,
        txn: &Txn,
        writes: &mut impl Iterator<Item = Wrote>,
        events: &mut Vec<Event>,
    ) -> Result<TxnResult, StoreError> {
        let result = match txn {
            Txn::Multi(parts) => {
                let parts = parts.iter().map(|part| self.take_over_part(part, writes, events));
                TxnResult::Multi(parts.collect::<Result<_, _>>()?)
            }
            txn => self.take_over_part(txn, writes, events)?,
        };
        self.applied(header.zxid);
        Ok(result)
    }

    fn take_over_part(
        &mut self,
        txn: &Txn,
        writes: &mut impl Iterator<Item = Wrote>,
        events: &mut Vec<Event>,
    ) -> Result<TxnResult, StoreError> {
        let mut next = || writes.next().expect(WRITES);
        match txn {
            Txn::SetData(_) => self.take_over_data(next(), events),
            Txn::Delete(_) | Txn::DeleteContainer(_) => self.take_over_delete(next(), next(), events),
            Txn::Check(_) => Ok(TxnResult::Check),
            _ => self.take_over_create(next(), next(), events),
        }
    }

    fn take_over_create(
        &mut self,
        parent: Wrote,
        child: Wrote,
        events: &mut Vec<Event>,
    ) -> Result<TxnResult, StoreError> {
        let Wrote { hash, path, znode, .. } = child;
        let mut znode = znode.expect(WRITES);
        let parent_acl = self.replace(parent, |children| children.record(path::name(&path), true))?;
        share_acl(&mut self.acls, &mut znode);
        let (stat, acl, bytes) = (znode.client_stat(), znode.acl.clone(), znode.data_len());
        let path = self.insert_at(hash, path, znode);
        self.quota_on_create(&path, bytes as i64)?;
        events.push(Event { kind: EventKind::Created, path: path.clone(), acl, parent_acl });
        Ok(TxnResult::Create { path, stat })
    }

    fn take_over_delete(
        &mut self,
        parent: Wrote,
        child: Wrote,
        events: &mut Vec<Event>,
    ) -> Result<TxnResult, StoreError> {
        // It may have left memory since.
        self.ensure(&child.path)?;
        let (path, node) = self.remove(&child.path).expect(WRITES);
        let parent_acl = self.replace(parent, |children| children.record(path::name(&path), false))?;
        self.quota_on_delete(&path, node.data_len() as i64)?;
        events.push(Event { kind: EventKind::Deleted, path, acl: node.acl.clone(), parent_acl });
        Ok(TxnResult::Delete)
    }

    fn take_over_data(&mut self, wrote: Wrote, events: &mut Vec<Event>) -> Result<TxnResult, StoreError> {
        let (path, znode) = (wrote.path.clone(), wrote.znode.clone().expect(WRITES));
        let bytes_before = self.data_bytes;
        let acl = self.replace(wrote, |_| ())?;
        let grown = self.data_bytes.wrapping_sub(bytes_before).cast_signed();
        self.quota_on_change(&path, grown, 0)?;
        events.push(Event { kind: EventKind::DataChanged, path, acl, parent_acl: None });
        Ok(TxnResult::SetData { stat: znode.client_stat() })
    }

    /// Puts the new value of an existing znode in its place, and returns its ACL.
    fn replace(
        &mut self,
        wrote: Wrote,
        list: impl FnOnce(&mut ChildrenEdit<'_>),
    ) -> Result<Option<Arc<[zorilla_protocol::records::Acl]>>, StoreError> {
        let Wrote { hash, ref path, .. } = wrote;
        let hasher = self.nodes.hasher();
        let Some((key, entry)) = self.nodes.at_mut(hash, path) else {
            // It left memory since it was prepared.
            self.ensure(path)?;
            return self.replace(wrote, list);
        };
        let mut znode = wrote.znode.expect(WRITES);
        share_acl(&mut self.acls, &mut znode);
        let before = (entry.node_bytes(key), entry.children_bytes());
        let old = entry.node.replace(znode).expect(WRITES);
        let znode: &Znode = entry.node.as_ref().expect(WRITES);
        let had_children = old.num_children > 0;
        list(&mut ChildrenEdit { list: &mut entry.children, had_children, hasher, dirty: &self.dirty });
        if znode.num_children == 0 {
            entry.children = None;
        }
        entry.touch();
        self.digest = self.digest.wrapping_add(znode.digest()).wrapping_sub(old.digest());
        self.data_bytes = (self.data_bytes + znode.data_len() as u64).saturating_sub(old.data_len() as u64);
        let acl = znode.acl.clone();
        let data_changed = !is_same_data(&old, znode);
        self.dirty.mark(key, entry, before, data_changed);
        Ok(acl)
    }
}

/// Equal lists are one list.
fn share_acl(acls: &mut AclTable, znode: &mut Arc<Znode>) {
    let Some(list) = &znode.acl else { return };
    let shared = acls.intern(Some(list));
    if !shared.as_ref().is_some_and(|shared| Arc::ptr_eq(shared, list)) {
        Arc::make_mut(znode).acl = shared;
    }
}

/// Whether data is the very same, as it is in every copy that leaves it alone.
fn is_same_data(a: &Znode, b: &Znode) -> bool {
    match (&a.data, &b.data) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        (None, None) => true,
        _ => false,
    }
}
