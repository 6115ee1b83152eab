//! How the coordinator and the workers of a job know each other: a key of 32 bytes that only their pods have. Each
//! request is signed with it over a fresh nonce, and each answer over the nonce of its request, so that neither side
//! takes another process, or an old message, for the other.

use std::fmt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Header: a request's nonce, 32 hexadecimal digits.
pub const NONCE: &str = "x-tributary-nonce";
/// Header: the signature of a request or an answer, 64 hexadecimal digits.
pub const SIGNATURE: &str = "x-tributary-signature";
/// The least bytes of a key.
const KEY_BYTES: usize = 32;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read.
    #[error("the job's key cannot be read from {path}: {source}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is too short.
    #[error("the job's key in {path} has {bytes} bytes; it needs {KEY_BYTES}")]
    Short {
        /// The file.
        path: String,
        /// What it has.
        bytes: usize,
    },
}

/// A job's key.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// What a signature is for.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// A worker's request.
    Request,
    /// The coordinator's answer.
    Reply,
}

impl Key {
    /// The key in a file, of at least 32 bytes.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let bytes =
            std::fs::read(path).map_err(|source| KeyError::Read { path: path.display().to_string(), source })?;
        Self::new(&bytes).ok_or_else(|| KeyError::Short { path: path.display().to_string(), bytes: bytes.len() })
    }

    /// The key of these bytes; `None` of fewer than 32.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let long_enough = bytes.len() >= KEY_BYTES;
        long_enough.then(|| Hmac::new_from_slice(bytes).ok()).flatten().map(Self)
    }

    /// The signature of a message, 64 hexadecimal digits.
    pub fn sign(&self, side: Side, nonce: &str, body: &[u8]) -> String {
        hex(&self.mac(side, nonce, body).finalize().into_bytes())
    }

    /// Whether `signature` is the message's. Takes the same time wherever they differ.
    pub fn verify(&self, side: Side, nonce: &str, body: &[u8], signature: &str) -> bool {
        unhex(signature).is_some_and(|s| self.mac(side, nonce, body).verify_slice(&s).is_ok())
    }

    fn mac(&self, side: Side, nonce: &str, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(match side {
            Side::Request => b"request\n",
            Side::Reply => b"reply\n",
        });
        mac.update(&(nonce.len() as u64).to_be_bytes());
        mac.update(nonce.as_bytes());
        mac.update(body);
        mac
    }
}

/// A nonce that nobody has used.
pub fn nonce() -> String {
    hex(&rand::random::<[u8; 16]>())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).ok()).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_message_only() {
        let (key, other) = (Key::new(&[7; 32]).unwrap(), Key::new(&[8; 32]).unwrap());
        let signature = key.sign(Side::Request, "n", b"body");
        assert!(key.verify(Side::Request, "n", b"body", &signature));
        assert!(!key.verify(Side::Reply, "n", b"body", &signature));
        assert!(!key.verify(Side::Request, "m", b"body", &signature));
        assert!(!key.verify(Side::Request, "nb", b"ody", &signature));
        assert!(!key.verify(Side::Request, "n", b"bodx", &signature));
        assert!(!other.verify(Side::Request, "n", b"body", &signature));
        for garbage in ["", "é", "0", "zz", &signature[..62]] {
            assert!(!key.verify(Side::Request, "n", b"body", garbage));
        }
    }

    #[test]
    fn short_keys_are_none() {
        assert!(Key::new(&[1; 31]).is_none());
        assert_eq!(format!("{:?}", Key::new(&[1; 32]).unwrap()), "Key(..)");
    }
}
