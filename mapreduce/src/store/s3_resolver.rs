//! The stores of a job's locations: a bucket each, by the credentials of what the location is to the job.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::Credentials;
use aws_sdk_s3::config::{SharedCredentialsProvider, SharedHttpClient};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use tributary_crds::S3Location;

use super::{Place, Result, S3Store, Store, StoreError, StoreResolver, Use};

/// Buckets of S3 services. The credentials of a use are in the variables `TRIBUTARY_<USE>_AWS_ACCESS_KEY_ID`,
/// `..._AWS_SECRET_ACCESS_KEY` and `..._AWS_SESSION_TOKEN`; without them the SDK's default chain gives them.
pub struct S3Stores {
    credentials: HashMap<Use, SharedCredentialsProvider>,
    http: SharedHttpClient,
    stores: Mutex<HashMap<(String, Use), Arc<dyn Store>>>,
}

impl S3Stores {
    /// Looks the credentials up by `variable`, which gives an environment variable's value. The workspace has those of
    /// `workspace`: its own, or those of the location that it is derived from.
    pub async fn new(variable: impl Fn(&str) -> Option<String>, workspace: Use) -> Self {
        let ring = tls::Provider::Rustls(CryptoMode::Ring);
        let http = aws_smithy_http_client::Builder::new().tls_provider(ring).build_https();
        let mut credentials = HashMap::new();
        let mut default: Option<SharedCredentialsProvider> = None;
        for used_as in [Use::Input, Use::Output, Use::Workspace] {
            let word = match if used_as == Use::Workspace { workspace } else { used_as } {
                Use::Input => "INPUT",
                Use::Output => "OUTPUT",
                Use::Workspace => "WORKSPACE",
            };
            let get = |name: &str| variable(&format!("TRIBUTARY_{word}_AWS_{name}")).filter(|v| !v.is_empty());
            let provider = match (get("ACCESS_KEY_ID"), get("SECRET_ACCESS_KEY")) {
                (Some(id), Some(secret)) => {
                    let keys = Credentials::new(id, secret, get("SESSION_TOKEN"), None, "tributary");
                    SharedCredentialsProvider::new(keys)
                }
                _ => match &default {
                    Some(provider) => provider.clone(),
                    None => {
                        let config = ProviderConfig::default().with_http_client(http.clone());
                        let chain = DefaultCredentialsChain::builder().configure(config).build().await;
                        default.insert(SharedCredentialsProvider::new(chain)).clone()
                    }
                },
            };
            credentials.insert(used_as, provider);
        }
        Self { credentials, http, stores: Mutex::default() }
    }
}

impl StoreResolver for S3Stores {
    fn resolve(&self, location: &S3Location, used_as: Use) -> Result<Place> {
        let invalid = |message: &str| StoreError::Invalid { place: location.uri.clone(), message: message.into() };
        let path = location.uri.strip_prefix("s3://").ok_or_else(|| invalid("not of the form s3://bucket/prefix"))?;
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        let endpoint = location.connection.endpoint.as_deref().unwrap_or_default();
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        let store = stores.entry((format!("{endpoint}|{bucket}"), used_as)).or_insert_with(|| {
            let credentials = self.credentials[&used_as].clone();
            Arc::new(S3Store::new(bucket, &location.connection, credentials, self.http.clone()))
        });
        Ok(Place::new(store.clone(), prefix))
    }
}
