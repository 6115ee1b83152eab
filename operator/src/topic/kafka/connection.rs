//! The configuration of a client, with the credentials that the connection names.

use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use rdkafka::ClientConfig;
use tributary_crds::{KafkaConnection, SaslMechanism, SecretKeyRef};

use super::raw::{Admin, KafkaError};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// A Secret cannot be had.
    #[error("Secret {namespace}/{name}: {reason}")]
    Secret {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// Why not, and the way out.
        reason: String,
    },
    /// librdkafka does not take the configuration.
    #[error("{0}")]
    Kafka(#[from] KafkaError),
}

/// A client for this connection; its Secrets are those of `namespace`.
///
/// # Errors
/// Where a Secret is missing or may not be read, or holds what librdkafka does not take.
pub async fn connect(client: &Client, namespace: &str, connection: &KafkaConnection) -> Result<Admin, ConnectionError> {
    let secrets = Secrets { api: Api::namespaced(client.clone(), namespace), namespace };
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &connection.bootstrap_servers)
        .set("client.id", "tributary-operator")
        .set("socket.connection.setup.timeout.ms", "3000")
        .set("reconnect.backoff.max.ms", "1000");
    let (tls, sasl) = (connection.tls.as_ref(), connection.sasl.as_ref());
    let protocol = match (tls.is_some(), sasl.is_some()) {
        (false, false) => "PLAINTEXT",
        (true, false) => "SSL",
        (false, true) => "SASL_PLAINTEXT",
        (true, true) => "SASL_SSL",
    };
    config.set("security.protocol", protocol);
    if let Some(tls) = tls {
        for (property, key) in
            [("ssl.ca.pem", &tls.ca), ("ssl.certificate.pem", &tls.certificate), ("ssl.key.pem", &tls.key)]
        {
            if let Some(key) = key {
                config.set(property, secrets.read(key).await?);
            }
        }
    }
    if let Some(sasl) = sasl {
        let mechanism = match sasl.mechanism {
            SaslMechanism::Plain => "PLAIN",
            SaslMechanism::ScramSha256 => "SCRAM-SHA-256",
            SaslMechanism::ScramSha512 => "SCRAM-SHA-512",
        };
        config
            .set("sasl.mechanism", mechanism)
            .set("sasl.username", secrets.read(&sasl.username).await?)
            .set("sasl.password", secrets.read(&sasl.password).await?);
    }
    Ok(Admin::new(&config)?)
}

struct Secrets<'a> {
    api: Api<Secret>,
    namespace: &'a str,
}

impl Secrets<'_> {
    async fn read(&self, key: &SecretKeyRef) -> Result<String, ConnectionError> {
        let fail = |reason: String| ConnectionError::Secret {
            namespace: self.namespace.into(),
            name: key.name.clone(),
            reason,
        };
        let secret = self.api.get(&key.name).await.map_err(|error| match error {
            kube::Error::Api(status) if status.code == 404 => fail("does not exist".into()),
            kube::Error::Api(status) if status.code == 403 => fail(format!(
                "the operator may not read it: bind ClusterRole tributary-secret-reader to its ServiceAccount by a \
                 RoleBinding in namespace {}",
                self.namespace
            )),
            other => fail(other.to_string()),
        })?;
        let value = secret.data.and_then(|mut data| data.remove(&key.key));
        let value = value.ok_or_else(|| fail(format!("has no key {}", key.key)))?;
        String::from_utf8(value.0).map_err(|_| fail(format!("key {} is no text", key.key)))
    }
}
