//! setData.

use super::super::Znode;
use super::{Prep, Stop, next_version, validate};
use crate::auth::perm;
use bytes::Bytes;
use std::sync::Arc;
use zorilla_protocol::Code;
use zorilla_protocol::records::SetDataRequest;
use zorilla_protocol::txn::{SetDataTxn, Txn};

/// Opcode 5. The quota is asked before the version.
pub fn prepare(prep: &mut Prep<'_>, request: &SetDataRequest) -> Result<Txn, Stop> {
    let path = request.path.as_deref().ok_or(Code::BadArguments)?;
    validate(path)?;
    let znode = prep.get(path)?;
    prep.check_acl(&znode, perm::WRITE)?;
    let data = request.data.as_ref().map(|data| &data[..]);
    let bytes = data.map_or(0, <[u8]>::len) as i64 - znode.data_len() as i64;
    prep.charge_quota(path, 0, bytes)?;
    let version = next_version(znode.stat.version, request.version)?;

    let mut after = Znode {
        prefix_crc: Znode::crc_of(path, data),
        digest: 0,
        data: data.map(Arc::from),
        acl: znode.acl.clone(),
        stat: znode.stat.clone(),
        num_children: znode.num_children,
    };
    after.stat.version = version;
    after.stat.mzxid = prep.zxid;
    after.stat.mtime = prep.time_ms;
    prep.replace(znode, Some(after));
    let data: Option<Bytes> = request.data.clone();
    Ok(Txn::SetData(SetDataTxn { path: path.to_owned(), data, version }))
}
