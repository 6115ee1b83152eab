//! The admission webhooks. Every replica serves them, from its own caches, with a certificate of its own making;
//! the authority behind the certificates renews itself and is written into the webhook configurations.
//!
//! One makes bad news come sooner: were it down, the controllers find the same problems before the first child. The other gives
//! a new Pipeline its finalizer: were it down, the controller writes it before the first child, which is a write more.

mod authority;
mod review;
mod tls;

#[cfg(test)]
mod tests;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{Json, Router, extract::DefaultBodyLimit, extract::State, routing::post};
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    core::v1::Secret,
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
    core::{
        ApiResource, DynamicObject, ObjectMeta,
        admission::{AdmissionRequest, AdmissionResponse, AdmissionReview},
    },
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tributary_blueprints::object::ObjectKey;
use tributary_crds::{Blueprint, BlueprintSpec, Timestamp};

use crate::caches::{Caches, PrimaryKind, Scope, StoreId, parse};
use authority::Authority;
use review::{Finding, Subject, answer, guarded};
use tls::{Current, TlsListener};

/// The name of the Service, the Secret and the webhook configurations.
pub const NAME: &str = "tributary-webhook";
/// The path that objects are posted to for verification.
pub const VERIFY_PATH: &str = "/validate";
/// The path that new Pipelines are posted to.
pub const GUARD_PATH: &str = "/guard";
/// The name of the webhook in the ValidatingWebhookConfiguration.
pub const VERIFY: &str = "verify.tributary.dev";
/// The name of the webhook in the MutatingWebhookConfiguration.
pub const GUARD: &str = "guard.tributary.dev";

/// How often the Secret and the configuration are looked at, for what others did to them.
const LOOK: Duration = Duration::from_secs(20);
/// The largest review: an object and its former self, each at most what etcd takes.
const MOST_BYTES: usize = 8 << 20;
/// How long a review waits for the schema of a foreign kind; without it, fields of that kind go unchecked here.
const SCHEMAS: Duration = Duration::from_secs(2);

/// What goes wrong with the webhook. Neither keeps the operator from working.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// A key or certificate cannot be made.
    #[error("a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    /// rustls does not take the key.
    #[error("a key: {0}")]
    Key(#[from] rustls::Error),
    /// The Secret is not as we left it.
    #[error("the field `{0}` of the Secret {NAME} is missing or malformed")]
    Secret(&'static str),
    /// The apiserver's words.
    #[error(transparent)]
    Api(#[from] kube::Error),
}

/// Serves until stopped.
///
/// # Errors
/// Where the address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    client: Client,
    caches: Arc<Caches>,
    namespace: String,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let current = Arc::new(Current::default());
    let listener = TlsListener::bind(address, current.clone()).await?;
    tracing::info!(%address, "serving the admission webhooks");
    let certificates = tokio::spawn(stop.clone().run_until_cancelled_owned(keep(client, namespace, current)));
    let router = Router::new().route(VERIFY_PATH, post(review)).route(GUARD_PATH, post(guard));
    let router = router.layer(DefaultBodyLimit::max(MOST_BYTES)).with_state(caches);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    certificates.abort();
    served
}

async fn review(
    State(caches): State<Arc<Caches>>,
    Json(review): Json<AdmissionReview<DynamicObject>>,
) -> Json<AdmissionReview<DynamicObject>> {
    let response = match TryInto::<AdmissionRequest<DynamicObject>>::try_into(review) {
        Ok(request) => match Subject::of(&request) {
            Ok(None) => AdmissionResponse::from(&request),
            Ok(Some(subject)) => {
                let namespace = request.namespace.clone().unwrap_or_default();
                answer(&request, &findings(&caches, subject, namespace).await)
            }
            // the type let it pass, and the controller says what it cannot read
            Err(error) => {
                let mut response = AdmissionResponse::from(&request);
                response.warnings = Some(vec![format!("not verified: {error}")]);
                response
            }
        },
        Err(error) => AdmissionResponse::invalid(error),
    };
    Json(response.into_review())
}

async fn guard(Json(review): Json<AdmissionReview<DynamicObject>>) -> Json<AdmissionReview<DynamicObject>> {
    let response = match TryInto::<AdmissionRequest<DynamicObject>>::try_into(review) {
        Ok(request) => guarded(&request),
        Err(error) => AdmissionResponse::invalid(error),
    };
    Json(response.into_review())
}

async fn findings(caches: &Arc<Caches>, subject: Subject, namespace: String) -> Vec<Finding> {
    let referred = subject.blueprint_ref().and_then(|name| blueprint(caches, &namespace, name));
    let kinds = subject.kinds(referred.as_ref()).into_iter().collect();
    let _ = tokio::time::timeout(SCHEMAS, caches.schemas_of(&kinds)).await;
    let served = caches.served();
    // a large blueprint takes its time
    let found = tokio::task::spawn_blocking(move || subject.findings(referred.as_ref(), &served));
    found.await.unwrap_or_else(|error| {
        tracing::error!(%error, "a review ended early");
        Vec::new()
    })
}

fn blueprint(caches: &Caches, namespace: &str, name: &str) -> Option<BlueprintSpec> {
    let gvk = PrimaryKind::Blueprint.gvk();
    let object =
        caches.get(&StoreId::new(&gvk.group, &gvk.kind, Scope::All), &ObjectKey::new(&gvk, namespace, name))?;
    parse::<Blueprint>(&object).ok().map(|blueprint| blueprint.spec)
}

/// Keeps authority, certificate and configuration in order, for ever.
async fn keep(client: Client, namespace: String, current: Arc<Current>) {
    let mut state = Keeper { client, namespace, current, bundle: String::new(), renew: Timestamp::UNIX_EPOCH };
    loop {
        if let Err(error) = state.look(Timestamp::now()).await {
            tracing::warn!(%error, "the webhook's certificate");
        }
        tokio::time::sleep(LOOK).await;
    }
}

struct Keeper {
    client: Client,
    namespace: String,
    current: Arc<Current>,
    /// The one that the current certificate belongs to.
    bundle: String,
    renew: Timestamp,
}

impl Keeper {
    async fn look(&mut self, now: Timestamp) -> Result<(), WebhookError> {
        let authority = self.authority(now).await?;
        let bundle = authority.bundle();
        // first those who ask, then what they are shown
        self.publish(&bundle, &ApiResource::erase::<ValidatingWebhookConfiguration>(&()), VERIFY).await?;
        // of manifests older than this program it may not be ours to write, which keeps the other from nothing
        let guard = ApiResource::erase::<MutatingWebhookConfiguration>(&());
        if let Err(error) = self.publish(&bundle, &guard, GUARD).await {
            tracing::warn!(%error, "new Pipelines come without a finalizer");
        }
        if bundle != self.bundle || now >= self.renew {
            let service = format!("{NAME}.{}.svc", self.namespace);
            let made = authority.certificate(&[format!("{service}.cluster.local"), service], now)?;
            self.current.set(made.key);
            (self.bundle, self.renew) = (bundle, made.renew);
            tracing::info!(renew = %self.renew, "the webhook has a new certificate");
        }
        Ok(())
    }

    /// The authority that all replicas share, made or renewed where it is time. Of several that try, one wins.
    async fn authority(&self, now: Timestamp) -> Result<Authority, WebhookError> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.namespace);
        let secret = |data, resource_version| Secret {
            metadata: ObjectMeta { name: Some(NAME.into()), resource_version, ..ObjectMeta::default() },
            data: Some(data),
            ..Secret::default()
        };
        let Some(there) = api.get_opt(NAME).await? else {
            let made = Authority::new(now)?;
            return match api.create(&PostParams::default(), &secret(made.to_data(), None)).await {
                Ok(_) => Ok(made),
                Err(kube::Error::Api(status)) if status.code == 409 => Authority::of_secret(&api.get(NAME).await?),
                Err(error) => Err(error.into()),
            };
        };
        let next = match Authority::of_secret(&there) {
            Ok(authority) if !authority.is_due(now) => return Ok(authority),
            Ok(authority) => authority.successor(now)?,
            Err(error) => {
                tracing::warn!(%error, "made anew");
                Authority::new(now)?
            }
        };
        let next = secret(next.to_data(), there.metadata.resource_version);
        match api.replace(NAME, &PostParams::default(), &next).await {
            Ok(kept) => Authority::of_secret(&kept),
            Err(kube::Error::Api(status)) if status.code == 409 => Authority::of_secret(&api.get(NAME).await?),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells the apiserver whom a configuration's webhook trusts, where it does not know. Without a configuration there is nobody
    /// to tell.
    async fn publish(&self, bundle: &str, configuration: &ApiResource, webhook: &str) -> Result<(), WebhookError> {
        let api: Api<DynamicObject> = Api::all_with(self.client.clone(), configuration);
        let Some(there) = api.get_opt(NAME).await? else { return Ok(()) };
        let bundle = serde_json::to_value(k8s_openapi::ByteString(bundle.as_bytes().to_vec())).unwrap_or_default();
        let hooks = there.data.get("webhooks").and_then(Value::as_array);
        let hook = hooks.into_iter().flatten().find(|hook| hook["name"] == webhook);
        if hook.is_some_and(|hook| hook["clientConfig"]["caBundle"] == bundle) {
            return Ok(());
        }
        let patch = json!({
            "apiVersion": configuration.api_version, "kind": configuration.kind, "metadata": {"name": NAME},
            "webhooks": [{"name": webhook, "clientConfig": {"caBundle": bundle}}],
        });
        api.patch(NAME, &PatchParams::apply(NAME).force(), &Patch::Apply(patch)).await?;
        Ok(())
    }
}
