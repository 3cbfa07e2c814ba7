//! Accepts client connections within the limits.

use super::connection::Connection;
use super::task;
use crate::server::shared::Shared;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, warn};
use zorilla_core::auth::ip_identity;
use zorilla_core::ids::ConnId;

static NEXT_CONNECTION: AtomicU64 = AtomicU64::new(1);

/// Connections that may wait to be accepted, where the configuration names no number.
const BACKLOG_DEFAULT: i32 = 1024;

/// Binds the client port.
pub fn bind(address: SocketAddr, backlog: Option<u32>) -> io::Result<TcpListener> {
    let backlog = backlog.and_then(|backlog| i32::try_from(backlog).ok()).unwrap_or(BACKLOG_DEFAULT);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A server that was just stopped leaves connections behind; its successor must get the port.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until the task is dropped.
pub async fn accept(shared: Arc<Shared>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => admit(&shared, stream, peer),
            Err(error) => {
                // Out of file descriptors, mostly: waiting is all that helps.
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Takes the connection on, or closes it at once when a limit is reached.
fn admit(shared: &Arc<Shared>, stream: TcpStream, peer: SocketAddr) {
    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
    let mut per_address = shared.per_address.lock();
    let mut connections = shared.connections.write();
    let limits = &shared.limits;
    let count = per_address.get(&peer.ip()).copied().unwrap_or(0);
    if limits.per_address_max > 0 && count >= limits.per_address_max {
        shared.stats.rejected.fetch_add(1, Ordering::Relaxed);
        warn!(%peer, limit = limits.per_address_max, "refused: too many connections from this address (maxClientCnxns)");
        return;
    }
    if limits.connections_max > 0 && connections.len() >= limits.connections_max {
        shared.stats.rejected.fetch_add(1, Ordering::Relaxed);
        warn!(%peer, limit = limits.connections_max, "refused: too many connections (maxCnxns)");
        return;
    }
    // Without it small replies would wait for acknowledgements; a socket that refuses is closed anyway.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%peer, %error, "connection lost while being accepted");
        return;
    }
    let id = ConnId(NEXT_CONNECTION.fetch_add(1, Ordering::Relaxed));
    let now = (shared.clock.now_ms(), shared.clock.wall_ms());
    let conn = Arc::new(Connection::new(id, peer, Arc::from([ip_identity(peer.ip())]), now));
    *per_address.entry(peer.ip()).or_insert(0) += 1;
    connections.insert(id, conn.clone());
    drop(connections);
    drop(per_address);
    tokio::spawn(task::serve(shared.clone(), stream, conn));
}
