//! The webhook's own certificate authority. Its key lies in a Secret that all replicas share; the certificates that it
//! signs are never stored: each replica makes its own.

use std::{collections::BTreeMap, sync::Arc, time::SystemTime};

use k8s_openapi::{ByteString, api::core::v1::Secret};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::{
    crypto::ring::sign::any_ecdsa_type,
    pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    sign::CertifiedKey,
};
use tributary_crds::Timestamp;

use super::WebhookError;

const DAY: i64 = 24 * 3600;
/// How long the authority is good for, in seconds.
const AUTHORITY_LIFE: i64 = 365 * DAY;
/// How long a certificate is good for, in seconds.
const CERTIFICATE_LIFE: i64 = 30 * DAY;
/// For clocks that differ, in seconds.
const SKEW: i64 = 3600;

/// Keys of the Secret's data.
const KEY: &str = "ca.key";
const BUNDLE: &str = "ca.crt";
const EXPIRES: &str = "expires";

/// A certificate authority. Its `Debug` shows no key.
pub struct Authority {
    key: KeyPair,
    /// PEM: its own certificate, and that of its predecessor, which other replicas may still use.
    bundle: Vec<String>,
    expires: Timestamp,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// A certificate to serve with, and when to make the next one.
#[derive(Debug)]
pub struct Served {
    /// For rustls.
    pub key: Arc<CertifiedKey>,
    /// From then on a new one is due.
    pub renew: Timestamp,
}

impl Authority {
    /// A new authority.
    ///
    /// # Errors
    /// Where no key can be made.
    pub fn new(now: Timestamp) -> Result<Self, WebhookError> {
        let key = KeyPair::generate()?;
        let certificate = parameters(now)?.self_signed(&key)?;
        Ok(Self { key, bundle: vec![certificate.pem()], expires: after(now, AUTHORITY_LIFE) })
    }

    /// Its successor, which vouches for this one's certificates too.
    ///
    /// # Errors
    /// Where no key can be made.
    pub fn successor(&self, now: Timestamp) -> Result<Self, WebhookError> {
        let mut new = Self::new(now)?;
        new.bundle.extend(self.bundle.first().cloned());
        Ok(new)
    }

    /// Whether it is time for a successor: two thirds of its life are over.
    pub fn is_due(&self, now: Timestamp) -> bool {
        now >= after(self.expires, -AUTHORITY_LIFE / 3)
    }

    /// What the apiserver is to trust, as PEM.
    pub fn bundle(&self) -> String {
        self.bundle.concat()
    }

    /// A certificate for these DNS names, with a key of its own.
    ///
    /// # Errors
    /// Where none can be made.
    pub fn certificate(&self, names: &[String], now: Timestamp) -> Result<Served, WebhookError> {
        let mut wanted = CertificateParams::new(names)?;
        wanted.distinguished_name = DistinguishedName::new();
        wanted.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        wanted.use_authority_key_identifier_extension = true;
        let expires = after(now, CERTIFICATE_LIFE).min(self.expires);
        (wanted.not_before, wanted.not_after) = (time(after(now, -SKEW)).into(), time(expires).into());
        let key = KeyPair::generate()?;
        let signed = wanted.signed_by(&key, &Issuer::new(parameters(now)?, &self.key))?;
        let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let key = CertifiedKey::new(vec![signed.der().clone()], any_ecdsa_type(&private)?);
        let renew = after(expires, -(expires.as_second() - now.as_second()) / 3);
        Ok(Served { key: Arc::new(key), renew })
    }

    /// From the Secret that it is kept in.
    ///
    /// # Errors
    /// What is missing or malformed.
    pub fn of_secret(secret: &Secret) -> Result<Self, WebhookError> {
        let text = |field: &'static str| {
            let value = secret.data.as_ref().and_then(|data| data.get(field));
            value.and_then(|v| std::str::from_utf8(&v.0).ok()).ok_or(WebhookError::Secret(field))
        };
        let key = KeyPair::from_pem(text(KEY)?).map_err(|_| WebhookError::Secret(KEY))?;
        let expires = text(EXPIRES)?.parse().map_err(|_| WebhookError::Secret(EXPIRES))?;
        let end = "-----END CERTIFICATE-----\n";
        let bundle: Vec<String> = text(BUNDLE)?.split_inclusive(end).map(str::to_owned).collect();
        if bundle.is_empty() {
            return Err(WebhookError::Secret(BUNDLE));
        }
        Ok(Self { key, bundle, expires })
    }

    /// The data of the Secret that it is kept in.
    pub fn to_data(&self) -> BTreeMap<String, ByteString> {
        let of = |name: &str, text: String| (name.to_owned(), ByteString(text.into_bytes()));
        [of(KEY, self.key.serialize_pem()), of(BUNDLE, self.bundle()), of(EXPIRES, self.expires.to_string())].into()
    }
}

/// An authority's own certificate; what identifies it depends on its key alone.
fn parameters(now: Timestamp) -> Result<CertificateParams, WebhookError> {
    let mut wanted = CertificateParams::new(Vec::new())?;
    wanted.distinguished_name = DistinguishedName::new();
    wanted.distinguished_name.push(DnType::CommonName, "tributary-webhook-ca");
    wanted.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    wanted.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
    (wanted.not_before, wanted.not_after) = (time(after(now, -SKEW)).into(), time(after(now, AUTHORITY_LIFE)).into());
    Ok(wanted)
}

fn after(time: Timestamp, seconds: i64) -> Timestamp {
    Timestamp::from_second(time.as_second().saturating_add(seconds)).unwrap_or(time)
}

fn time(of: Timestamp) -> SystemTime {
    SystemTime::from(of)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(days: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + days * DAY).unwrap()
    }

    #[test]
    fn a_secret_gives_the_same_authority_back_and_a_broken_one_says_what_is_wrong() {
        let made = Authority::new(at(0)).unwrap();
        let mut secret = Secret { data: Some(made.to_data()), ..Secret::default() };
        let read = Authority::of_secret(&secret).unwrap();
        assert_eq!((read.to_data(), read.bundle()), (made.to_data(), made.bundle()));
        assert!(!format!("{read:?}").contains("PRIVATE"));
        for field in [KEY, BUNDLE, EXPIRES] {
            let mut broken = secret.clone();
            broken.data.as_mut().unwrap().remove(field);
            assert!(Authority::of_secret(&broken).unwrap_err().to_string().contains(field));
        }
        secret.data.as_mut().unwrap().insert(KEY.into(), ByteString(b"no key".to_vec()));
        assert!(Authority::of_secret(&secret).is_err());
    }

    #[test]
    fn a_successor_comes_in_time_and_vouches_for_what_the_former_signed() {
        let first = Authority::new(at(0)).unwrap();
        assert!(!first.is_due(at(200)) && first.is_due(at(244)));
        let second = first.successor(at(244)).unwrap();
        let third = second.successor(at(488)).unwrap();
        assert!(second.bundle().contains(&first.bundle()) && !second.is_due(at(244)));
        // no more than one predecessor is kept: the one before it is past its end
        assert!(!third.bundle().contains(&first.bundle()));
        assert_eq!(third.bundle().matches("BEGIN CERTIFICATE").count(), 2);
        let read = Authority::of_secret(&Secret { data: Some(third.to_data()), ..Secret::default() }).unwrap();
        assert_eq!(read.bundle.len(), 2);
    }

    #[test]
    fn a_certificate_is_renewed_before_it_ends_and_ends_no_later_than_its_authority() {
        let authority = Authority::new(at(0)).unwrap();
        let names = ["a.b.svc".to_owned()];
        assert_eq!(authority.certificate(&names, at(1)).unwrap().renew, at(21));
        assert_eq!(authority.certificate(&names, at(362)).unwrap().renew, at(364));
    }
}
