//! The only place that writes to the apiserver.

mod account;
mod actions;
mod error;
mod events;
mod refused;
mod request;
mod target;
mod throttle;
mod unanswered;

#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy, ValidationDirective},
    core::{ApiResource, DynamicObject, Request},
};
use serde_json::{Value, json};
use tokio::time::Instant;
use tributary_blueprints::object::{Gvk, ObjectKey};
use tributary_crds::{Reason, names};

pub use account::{Account, PIPELINE_ROLE};
pub use error::{ActError, words};
pub use events::Events;
pub use refused::Refused;
use request::{gvk_of, is_already_exists, is_for_want_of_a_right, signed, url};
pub use target::Target;
use throttle::Throttle;
pub use unanswered::Unanswered;

use crate::{
    caches::{Caches, Expect, Primary, Scope},
    metrics::Metrics,
};

/// The field manager of every write.
pub const FIELD_MANAGER: &str = names::MANAGER;

/// The field manager of finalizers: one of their own, since an apply takes back what its manager does not say any more.
const FINALIZERS_MANAGER: &str = "tributary-finalizers";

/// The longest that one write may take.
const LIMIT: Duration = Duration::from_secs(15);

/// Carries out plans.
pub struct Act {
    client: Client,
    caches: Arc<Caches>,
    metrics: Arc<Metrics>,
    throttle: Throttle,
    /// Where events go.
    pub events: Events,
}

impl Act {
    /// Writes with `client`; `caches` take in what it writes.
    pub fn new(client: Client, caches: Arc<Caches>, metrics: Arc<Metrics>, events: Events) -> Self {
        Self { client, caches, metrics, throttle: Throttle::default(), events }
    }

    /// The client, for effects beyond a plan.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Writes the whole status. It is of our own types, so that nothing in it needs to be validated for unknown fields, for which
    /// the apiserver would parse it once more.
    ///
    /// # Errors
    /// [`ActError::Conflict`] where the object is no longer the one that was decided on, and what the apiserver says.
    pub async fn status(&self, target: &mut Target, status: &Value) -> Result<(), ActError> {
        let gvk = target.primary.kind.gvk();
        let key = target.primary.key();
        let body = json!({
            "apiVersion": gvk.api_version(),
            "kind": gvk.kind,
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": target.uid, "resourceVersion": target.resource_version},
            "status": status,
        });
        let (api, since) = (self.api(&gvk, &key)?, Instant::now());
        let params = unvalidated(PatchParams::apply(FIELD_MANAGER).force());
        let written = self.timed("status", &key, api.patch_status(&key.name, &params, &Patch::Apply(body))).await?;
        self.moved_on(target, &key, &written, since);
        Ok(())
    }

    /// POST of an object as it is, outside a plan. That it exists already is no error.
    ///
    /// # Errors
    /// What the apiserver says.
    pub async fn create_blindly(&self, object: &DynamicObject) -> Result<(), ActError> {
        match self.post(object, None).await {
            Ok(_) => Ok(()),
            Err((_, error)) if is_already_exists(&error) => Ok(()),
            Err((key, error)) => Err(ActError::of(&key, error)),
        }
    }

    async fn create(
        &self,
        by: &Target,
        object: &DynamicObject,
        scope: impl Fn(&ObjectKey) -> Scope,
    ) -> Result<(), ActError> {
        let (account, since) = (by.account.as_ref(), Instant::now());
        match self.post(object, account).await {
            Ok((key, made)) => {
                self.caches.wrote(&by.primary, scope(&key), &key, &made, since);
                Ok(())
            }
            Err((key, error)) if is_already_exists(&error) => {
                let gvk = gvk_of(object, &key)?;
                let (api, since) = (self.api(&gvk, &key)?, Instant::now());
                let there = self.timed("get", &key, api.get(&key.name)).await?;
                self.exists(&by.primary, object, (&key, scope(&key)), &there, since)
            }
            Err((key, error)) => Err(self.refused(object, account, ActError::of(&key, error))),
        }
    }

    /// An object of the wanted name was there before. Ours, the cache has yet to show; a stranger, it will never show
    /// where only labelled objects are watched, so the user is told.
    fn exists(
        &self,
        by: &Primary,
        wanted: &DynamicObject,
        (key, scope): (&ObjectKey, Scope),
        there: &DynamicObject,
        since: Instant,
    ) -> Result<(), ActError> {
        let owners = |o: &DynamicObject| o.metadata.owner_references.clone().unwrap_or_default();
        let owned = owners(wanted).iter().all(|owner| owners(there).iter().any(|o| o.uid == owner.uid));
        if owned || scope == Scope::All {
            self.caches.wrote(by, scope, key, there, since);
            return Ok(());
        }
        let message = format!("{key} exists and belongs to somebody else");
        Err(ActError::Refused { key: key.clone(), reason: Reason::NameTaken, message })
    }

    async fn post(
        &self,
        object: &DynamicObject,
        account: Option<&Account>,
    ) -> Result<(ObjectKey, DynamicObject), (ObjectKey, kube::Error)> {
        let key = ObjectKey::of(object).unwrap_or_default();
        let Some(resource) = gvk_of(object, &key).ok().and_then(|gvk| self.caches.resource(&gvk)) else {
            // the watch of the kind ends with it, and the next decision knows
            let status = kube::core::Status::failure("the kind is not served", "NotFound").with_code(404);
            return Err((key, kube::Error::Api(status.boxed())));
        };
        let made = match self.creation(object, &resource, &key, account) {
            Ok(request) => self.within("create", &key, self.client.request::<DynamicObject>(request)).await,
            Err(error) => Ok(Err(error)),
        };
        match made {
            Ok(Ok(made)) => Ok((key, made)),
            Ok(Err(error)) => Err((key, error)),
            Err(elapsed) => Err((key, kube::Error::Service(elapsed.into()))),
        }
    }

    fn creation(
        &self,
        object: &DynamicObject,
        resource: &ApiResource,
        key: &ObjectKey,
        account: Option<&Account>,
    ) -> kube::Result<http::Request<Vec<u8>>> {
        let mut object = object.clone();
        object.metadata.uid = None;
        object.metadata.resource_version = None;
        let body = serde_json::to_vec(&object).map_err(kube::Error::SerdeError)?;
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let request = Request::new(url(resource, &key.namespace)).create(&params, body);
        let mut request = request.map_err(kube::Error::BuildRequest)?;
        let strict = format!("{}&fieldValidation=Strict", request.uri());
        *request.uri_mut() = strict.parse().map_err(|e| kube::Error::HttpError(http::Error::from(e)))?;
        signed(request, key, account)
    }

    async fn apply(
        &self,
        by: &Target,
        object: &DynamicObject,
        scope: impl Fn(&ObjectKey) -> Scope,
    ) -> Result<(), ActError> {
        let key = ObjectKey::of(object).unwrap_or_default();
        let gvk = gvk_of(object, &key)?;
        let resource = self.caches.resource(&gvk).ok_or(ActError::NotServed(gvk))?;
        let params = PatchParams {
            field_validation: Some(ValidationDirective::Strict),
            ..PatchParams::apply(FIELD_MANAGER).force()
        };
        let account = by.account.as_ref();
        let request = Request::new(url(&resource, &key.namespace)).patch(&key.name, &params, &Patch::Apply(object));
        let request = request.map_err(kube::Error::BuildRequest).and_then(|r| signed(r, &key, account));
        let (request, since) = (request.map_err(|error| ActError::of(&key, error))?, Instant::now());
        let written = self.timed("apply", &key, self.client.request::<DynamicObject>(request)).await;
        let written = written.map_err(|error| self.refused(object, account, error))?;
        self.caches.wrote(&by.primary, scope(&key), &key, &written, since);
        Ok(())
    }

    /// A refusal of what an account may not do says how to let it.
    fn refused(&self, object: &DynamicObject, account: Option<&Account>, error: ActError) -> ActError {
        match (account, error) {
            (Some(account), ActError::Refused { key, reason: Reason::Forbidden, mut message })
                if account.writes(&key) && is_for_want_of_a_right(&message) =>
            {
                if let Some(resource) = gvk_of(object, &key).ok().and_then(|gvk| self.caches.resource(&gvk)) {
                    message.push_str(&account.grant(&key, &resource));
                }
                ActError::Refused { key, reason: Reason::Forbidden, message }
            }
            (_, error) => error,
        }
    }

    async fn delete(
        &self,
        by: &Primary,
        gvk: &Gvk,
        key: &ObjectKey,
        uid: &str,
        resource_version: Option<String>,
        scope: impl Fn(&ObjectKey) -> Scope,
    ) -> Result<(), ActError> {
        let params = DeleteParams {
            propagation_policy: Some(PropagationPolicy::Background),
            preconditions: Some(Preconditions { uid: Some(uid.into()), resource_version }),
            ..DeleteParams::default()
        };
        match self.within("delete", key, self.api(gvk, key)?.delete(&key.name, &params)).await {
            Err(_) => return Err(ActError::Timeout { key: key.clone(), limit: LIMIT }),
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {}
            Ok(Err(error)) => return Err(ActError::of(key, error)),
            Ok(Ok(_)) => {}
        }
        self.caches.expect(by, scope(key), key.clone(), Expect::Gone { uid: uid.into() });
        Ok(())
    }

    /// Ours comes by apply, which costs the apiserver a fifth of what a merge patch of a custom resource does. It goes by the latter,
    /// since it may have come with the object, and not by an apply of ours.
    async fn finalizers(&self, target: &mut Target, finalizers: &[String]) -> Result<(), ActError> {
        let key = target.primary.key();
        let gvk = target.primary.kind.gvk();
        let api = self.api(&gvk, &key)?;
        let body = |target: &Target| {
            json!({
                "apiVersion": gvk.api_version(),
                "kind": gvk.kind,
                "metadata": {"name": key.name, "namespace": key.namespace, "uid": target.uid,
                    "resourceVersion": target.resource_version, "finalizers": finalizers},
            })
        };
        if finalizers.iter().any(|finalizer| finalizer == names::FINALIZER) {
            let params = unvalidated(PatchParams::apply(FINALIZERS_MANAGER).force());
            let (patch, since) = (Patch::Apply(body(target)), Instant::now());
            let written = self.timed("finalizers", &key, api.patch(&key.name, &params, &patch)).await?;
            self.moved_on(target, &key, &written, since);
        } else {
            let params = PatchParams { field_manager: Some(FINALIZERS_MANAGER.into()), ..PatchParams::default() };
            let (patch, since) = (Patch::Merge(body(target)), Instant::now());
            let written = self.timed("finalizers", &key, api.patch(&key.name, &params, &patch)).await?;
            self.moved_on(target, &key, &written, since);
        }
        Ok(())
    }

    fn moved_on(&self, target: &mut Target, key: &ObjectKey, written: &DynamicObject, since: Instant) {
        if let Some(version) = &written.metadata.resource_version {
            target.resource_version.clone_from(version);
        }
        self.caches.wrote(&target.primary, Scope::All, key, written, since);
    }

    fn api(&self, gvk: &Gvk, key: &ObjectKey) -> Result<Api<DynamicObject>, ActError> {
        let resource = self.caches.resource(gvk).ok_or_else(|| ActError::NotServed(gvk.clone()))?;
        Ok(if key.namespace.is_empty() {
            Api::all_with(self.client.clone(), &resource)
        } else {
            Api::namespaced_with(self.client.clone(), &key.namespace, &resource)
        })
    }

    async fn timed<T>(
        &self,
        verb: &'static str,
        key: &ObjectKey,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, ActError> {
        match self.within(verb, key, request).await {
            Ok(result) => result.map_err(|error| ActError::of(key, error)),
            Err(_) => Err(ActError::Timeout { key: key.clone(), limit: LIMIT }),
        }
    }

    async fn within<T>(
        &self,
        verb: &'static str,
        key: &ObjectKey,
        request: impl Future<Output = kube::Result<T>>,
    ) -> Result<kube::Result<T>, tokio::time::error::Elapsed> {
        let start = Instant::now();
        let result = tokio::time::timeout(LIMIT, request).await;
        let (took, now, load) = (start.elapsed(), Instant::now(), self.caches.queues().load());
        match &result {
            Ok(Ok(_)) => load.answered(verb, &key.kind, took, now),
            // the words of an admission webhook may have taken their time
            Ok(Err(kube::Error::Api(status))) if status.code < 429 => {}
            Ok(Err(_)) | Err(_) => load.failed(took, now),
        }
        let code = match &result {
            Ok(Ok(_)) => 200,
            Ok(Err(kube::Error::Api(status))) => status.code,
            Ok(Err(_)) | Err(_) => 0,
        };
        tracing::debug!(verb, %key, code, "write");
        self.metrics.wrote(verb, &key.kind, code);
        result
    }
}

fn unvalidated(params: PatchParams) -> PatchParams {
    PatchParams { field_validation: Some(ValidationDirective::Ignore), ..params }
}
