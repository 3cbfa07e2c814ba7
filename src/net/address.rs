//! The addresses that a host and port of the configuration mean.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6, ToSocketAddrs};

/// The addresses of `host`: a name, or an address, of which one of IPv6 may name its interface by `%` and
/// name or number, and stand in brackets (Java: `InetAddress.getAllByName`).
pub fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let text = bare.unwrap_or(host);
    // Not left to the system's resolver: that one knows interfaces behind link-local addresses only.
    if let Some((address, interface)) = text.split_once('%')
        && let Ok(address) = address.parse::<Ipv6Addr>()
    {
        return Ok(vec![SocketAddrV6::new(address, port, 0, index_of(interface)?).into()]);
    }
    match bare.map(str::parse::<Ipv6Addr>) {
        Some(Ok(address)) => Ok(vec![SocketAddr::from((address, port))]),
        _ => Ok((host, port).to_socket_addrs()?.collect()),
    }
}

fn index_of(interface: &str) -> io::Result<u32> {
    if let Ok(index) = interface.parse() {
        return Ok(index);
    }
    let socket = socket2::Socket::new(socket2::Domain::IPV6, socket2::Type::DGRAM, None)?;
    rustix::net::netdevice::name_to_index(&socket, interface)
        .map_err(|_| io::Error::new(io::ErrorKind::NotFound, format!("there is no interface {interface}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(host: &str) -> SocketAddr {
        let found = resolve(host, 2181).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        found[0]
    }

    #[test]
    fn an_address_stands_for_itself() {
        assert_eq!(one("127.0.0.1"), "127.0.0.1:2181".parse().unwrap());
        assert_eq!(one("::1"), "[::1]:2181".parse().unwrap());
        assert_eq!(one("[::1]"), "[::1]:2181".parse().unwrap());
    }

    #[test]
    fn an_ipv6_address_may_name_its_interface() {
        // The loopback interface is the first one.
        for host in ["::1%lo", "::1%1", "[::1%lo]"] {
            assert_eq!(one(host), SocketAddrV6::new(Ipv6Addr::LOCALHOST, 2181, 0, 1).into(), "{host}");
        }
        assert_eq!(one("fe80::7%lo"), SocketAddrV6::new("fe80::7".parse().unwrap(), 2181, 0, 1).into());
        let why = resolve("::1%nowhere", 2181).unwrap_err();
        assert_eq!(why.to_string(), "there is no interface nowhere");
    }

    #[test]
    fn what_is_neither_is_a_name() {
        assert!(resolve("127.0.0.1%lo", 2181).is_err());
        assert!(resolve("[127.0.0.1]", 2181).is_err());
        assert!(resolve("", 2181).is_err());
    }
}
