//! The hashes by which the digest scheme knows a password.

use sha1::{Digest, Sha1};
use sha2::{Sha224, Sha256, Sha384, Sha512};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};

/// What `zookeeper.DigestAuthenticationProvider.digestAlg` can say: Java's names of the hashes in its own provider.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigestAlg {
    /// What everybody uses unless told otherwise.
    #[default]
    Sha1,
    /// `SHA-224`.
    Sha224,
    /// `SHA-256`.
    Sha256,
    /// `SHA-384`.
    Sha384,
    /// `SHA-512`.
    Sha512,
    /// `SHA3-224`.
    Sha3With224,
    /// `SHA3-256`.
    Sha3With256,
    /// `SHA3-384`.
    Sha3With384,
    /// `SHA3-512`.
    Sha3With512,
}

impl DigestAlg {
    /// The names that [`DigestAlg::named`] takes, for whoever is told that theirs is none.
    pub const NAMES: &str = "SHA1, SHA-224, SHA-256, SHA-384, SHA-512, SHA3-224, SHA3-256, SHA3-384 or SHA3-512";

    /// The hash of this name, in any case, as `MessageDigest.getInstance` reads it.
    pub fn named(name: &str) -> Option<DigestAlg> {
        match name.to_ascii_uppercase().as_str() {
            "SHA1" | "SHA-1" | "SHA" => Some(DigestAlg::Sha1),
            "SHA-224" | "SHA224" => Some(DigestAlg::Sha224),
            "SHA-256" | "SHA256" => Some(DigestAlg::Sha256),
            "SHA-384" | "SHA384" => Some(DigestAlg::Sha384),
            "SHA-512" | "SHA512" => Some(DigestAlg::Sha512),
            "SHA3-224" => Some(DigestAlg::Sha3With224),
            "SHA3-256" => Some(DigestAlg::Sha3With256),
            "SHA3-384" => Some(DigestAlg::Sha3With384),
            "SHA3-512" => Some(DigestAlg::Sha3With512),
            _ => None,
        }
    }

    /// The hash of some bytes.
    pub fn hash(self, bytes: &[u8]) -> Vec<u8> {
        match self {
            DigestAlg::Sha1 => Sha1::digest(bytes).to_vec(),
            DigestAlg::Sha224 => Sha224::digest(bytes).to_vec(),
            DigestAlg::Sha256 => Sha256::digest(bytes).to_vec(),
            DigestAlg::Sha384 => Sha384::digest(bytes).to_vec(),
            DigestAlg::Sha512 => Sha512::digest(bytes).to_vec(),
            DigestAlg::Sha3With224 => Sha3_224::digest(bytes).to_vec(),
            DigestAlg::Sha3With256 => Sha3_256::digest(bytes).to_vec(),
            DigestAlg::Sha3With384 => Sha3_384::digest(bytes).to_vec(),
            DigestAlg::Sha3With512 => Sha3_512::digest(bytes).to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(name: &str) -> String {
        let hash = DigestAlg::named(name).unwrap().hash(b"abc");
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The examples of FIPS 180 and FIPS 202, by their first bytes.
    #[test]
    fn names_and_their_hashes() {
        for (name, begin, bytes) in [
            ("SHA1", "a9993e364706816a", 20),
            ("sha-1", "a9993e364706816a", 20),
            ("SHA-224", "23097d223405d822", 28),
            ("SHA-256", "ba7816bf8f01cfea", 32),
            ("SHA-384", "cb00753f45a35e8b", 48),
            ("SHA-512", "ddaf35a193617aba", 64),
            ("SHA3-224", "e642824c3f8cf24a", 28),
            ("SHA3-256", "3a985da74fe225b2", 32),
            ("SHA3-384", "ec01498288516fc9", 48),
            ("SHA3-512", "b751850b1a57168a", 64),
        ] {
            assert_eq!((&hex(name)[..16], hex(name).len() / 2), (begin, bytes), "{name}");
        }
        assert_eq!(DigestAlg::named("MD5"), None);
        assert_eq!(DigestAlg::named(""), None);
    }
}
