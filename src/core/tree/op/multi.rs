//! multi: all of it or nothing.

use super::{Prep, Stop, check, create, delete, set_data};
use zorilla_protocol::Code;
use zorilla_protocol::irregular::MultiOp;
use zorilla_protocol::ops::MultiOps;
use zorilla_protocol::txn::{ErrorTxn, Txn};

/// Opcode 14. If an operation fails, those before it stay in the txn as they are, it becomes its error
/// and those behind it become -2; nobody applies such a txn. What cannot be read, or costs Apache an
/// exception (-5), fails the request as a whole.
pub fn prepare(prep: &mut Prep<'_>, ops: &MultiOps) -> Result<Txn, Stop> {
    let ops = &ops.as_ref().map_err(|_| Code::MarshallingError)?.ops;
    if ops.iter().any(is_unreadable) {
        return Err(Code::MarshallingError.into());
    }
    let mut parts = Vec::with_capacity(ops.len());
    for op in ops {
        match prepare_one(prep, op) {
            Ok(txn) => parts.push(txn),
            Err(Stop::Code(code)) if code != Code::MarshallingError => {
                prep.pending.undo();
                parts.push(Txn::Error(ErrorTxn { err: code.number() }));
                break;
            }
            Err(stop) => return Err(stop),
        }
    }
    parts.resize(ops.len(), Txn::Error(ErrorTxn { err: Code::RuntimeInconsistency.number() }));
    Ok(Txn::Multi(parts))
}

/// What Apache refuses while it decodes the request, or before it looks at the first operation.
fn is_unreadable(op: &MultiOp) -> bool {
    match op {
        MultiOp::Create(request) | MultiOp::Create2(request) | MultiOp::CreateContainer(request) => {
            create::is_unreadable_in_multi(request)
        }
        MultiOp::SetData(request) => request.path.is_none(),
        MultiOp::CreateTtl(_) | MultiOp::Delete(_) | MultiOp::Check(_) => false,
        // Reads belong into a multiRead.
        MultiOp::GetData(_) | MultiOp::GetChildren(_) => true,
    }
}

fn prepare_one(prep: &mut Prep<'_>, op: &MultiOp) -> Result<Txn, Stop> {
    prep.check_session()?;
    match op {
        MultiOp::Create(request) => create::in_multi(prep, request, false, false),
        MultiOp::Create2(request) => create::in_multi(prep, request, true, false),
        MultiOp::CreateContainer(request) => create::in_multi(prep, request, false, true),
        MultiOp::CreateTtl(request) => create::ttl_in_multi(prep, request),
        MultiOp::Delete(request) => delete::delete(prep, &request.path, request.version),
        MultiOp::SetData(request) => set_data::prepare(prep, request),
        MultiOp::Check(request) => check::prepare(prep, request),
        MultiOp::GetData(_) | MultiOp::GetChildren(_) => Err(Code::MarshallingError.into()),
    }
}
