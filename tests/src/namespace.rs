//! A namespace of a test's own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use serde_json::{Value, json};

use crate::kubectl::{self, Output, kubectl};
use crate::{root, until};

static COUNTER: AtomicU32 = AtomicU32::new(0);

/// A namespace of a test's own. It is deleted by [`Namespace::finish`] only, so that a failed test leaves what it saw.
pub struct Namespace {
    /// Its name.
    pub name: String,
}

impl Namespace {
    /// A new one whose name begins with `prefix`, with the operator installed and running.
    pub async fn new(prefix: &str) -> anyhow::Result<Self> {
        operator_is_up().await?;
        Self::create(prefix, json!({})).await
    }

    /// A new one that the admission webhook leaves alone, so that the controllers meet what it would have refused.
    pub async fn unadmitted(prefix: &str) -> anyhow::Result<Self> {
        operator_is_up().await?;
        Self::create(prefix, json!({"tributary.dev/admission": "off"})).await
    }

    /// A new one, with the types installed but perhaps no operator, which leaves it alone where there is one.
    pub async fn bare(prefix: &str) -> anyhow::Result<Self> {
        kubectl::install_types(&root().join("crds/manifests")).await?;
        Self::create(prefix, json!({"tributary.dev/admission": "off"})).await
    }

    async fn create(prefix: &str, labels: Value) -> anyhow::Result<Self> {
        let stamp = SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis() % 100_000_000;
        let name = format!("{prefix}-{stamp}-{}", COUNTER.fetch_add(1, Ordering::Relaxed));
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        let out = kubectl::run(&["create", "-f", "-"], &object.to_string()).await?;
        if !out.ok {
            bail!("kubectl create namespace {name}: {}", out.stderr);
        }
        let ns = Self { name };
        // as a new user does; without types there is no such role, which is no error
        ns.apply(&json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "tributary-pipeline"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tributary-pipeline"},
            "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": ns.name}],
        }))
        .await?;
        Ok(ns)
    }

    /// kubectl within it; must succeed.
    pub async fn kubectl(&self, args: &[&str]) -> anyhow::Result<String> {
        let mut all = vec!["-n", &self.name];
        all.extend(args);
        kubectl(&all).await
    }

    /// `kubectl apply -f` of a file or directory of the project.
    pub async fn apply_path(&self, path: &str) -> anyhow::Result<String> {
        let path = root().join(path);
        self.kubectl(&["apply", "-f", path.to_str().context("path")?]).await
    }

    /// `kubectl apply -f -`; must succeed.
    pub async fn apply(&self, object: &Value) -> anyhow::Result<()> {
        let out = self.try_apply(object).await?;
        if !out.ok {
            bail!("kubectl apply: {}", out.stderr);
        }
        Ok(())
    }

    /// `kubectl apply -f -`, whatever comes of it.
    pub async fn try_apply(&self, object: &Value) -> anyhow::Result<Output> {
        kubectl::run(&["-n", &self.name, "apply", "-f", "-"], &object.to_string()).await
    }

    /// An object, or `None` where it does not exist.
    pub async fn get(&self, kind: &str, name: &str) -> anyhow::Result<Option<Value>> {
        let out = kubectl::run(&["-n", &self.name, "get", kind, name, "-o", "json", "--ignore-not-found"], "").await?;
        if !out.ok {
            bail!("kubectl get {kind} {name}: {}", out.stderr);
        }
        if out.stdout.trim().is_empty() { Ok(None) } else { Ok(Some(serde_json::from_str(&out.stdout)?)) }
    }

    /// All objects of a kind.
    pub async fn list(&self, kind: &str, selector: &str) -> anyhow::Result<Vec<Value>> {
        let list = kubectl::json(&["-n", &self.name, "get", kind, "-l", selector]).await?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// The object, once `holds` says yes.
    pub async fn wait(
        &self,
        kind: &str,
        name: &str,
        what: &str,
        holds: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<Value> {
        until(&format!("{kind} {name} in {}: {what}", self.name), || async {
            let object = self.get(kind, name).await?;
            Ok(match object {
                Some(object) if holds(&object) => (Some(object), String::new()),
                Some(object) => (None, object["status"].to_string()),
                None => (None, "it does not exist".into()),
            })
        })
        .await
    }

    /// The object, once its `status.phase` is `phase`; an error at once where the phase is Failed instead.
    pub async fn wait_phase(&self, kind: &str, name: &str, phase: &str) -> anyhow::Result<Value> {
        let object = self
            .wait(kind, name, &format!("phase {phase}"), |o| {
                [phase, "Failed"].map(Value::from).contains(&o["status"]["phase"])
            })
            .await?;
        if object["status"]["phase"] != phase {
            bail!("{kind} {name} ended {}", object["status"]);
        }
        Ok(object)
    }

    /// Waits until the object is gone.
    pub async fn wait_gone(&self, kind: &str, name: &str) -> anyhow::Result<()> {
        until(&format!("{kind} {name} in {} to be gone", self.name), || async {
            Ok(match self.get(kind, name).await? {
                None => (Some(()), String::new()),
                Some(o) => (None, format!("{} {}", o["metadata"]["finalizers"], o["status"])),
            })
        })
        .await
    }

    /// The S3 credentials that the examples name.
    pub async fn with_s3_secret(self) -> anyhow::Result<Self> {
        let (access, secret) = crate::s3::credentials()?;
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s3"},
            "stringData": {"AWS_ACCESS_KEY_ID": access, "AWS_SECRET_ACCESS_KEY": secret},
        }))
        .await?;
        Ok(self)
    }

    /// Deletes the namespace, in the background.
    pub async fn finish(self) -> anyhow::Result<()> {
        kubectl(&["delete", "namespace", &self.name, "--wait=false"]).await.map(drop)
    }

    /// Deletes it and waits until it is gone, so that its end costs nothing of what is measured next.
    pub async fn remove(self) -> anyhow::Result<()> {
        kubectl(&["delete", "namespace", &self.name, "--timeout=30m"]).await.map(drop)
    }
}

/// Installs the operator with the images under test and waits until it has its replicas.
async fn operator_is_up() -> anyhow::Result<()> {
    static UP: tokio::sync::OnceCell<()> = tokio::sync::OnceCell::const_new();
    UP.get_or_try_init(|| async {
        let manifest = manifest()?;
        let out = kubectl::run(&["apply", "--server-side", "--force-conflicts", "-f", "-"], &manifest).await?;
        if !out.ok {
            bail!("kubectl apply of charts/install.yaml: {}", out.stderr);
        }
        until("the operator's Deployment to be rolled out", || async {
            let deployment =
                kubectl::json(&["-n", "tributary-system", "get", "deployment", "tributary-operator"]).await?;
            let status = &deployment["status"];
            let up = ["replicas", "updatedReplicas", "availableReplicas"].iter().all(|f| status[f] == 2)
                && status["observedGeneration"] == deployment["metadata"]["generation"];
            Ok((up.then_some(()), status.to_string()))
        })
        .await
    })
    .await
    .copied()
}

/// `charts/install.yaml` with the images that `TRIBUTARY_OPERATOR_IMAGE` and `TRIBUTARY_ENGINE_IMAGE` name, where they are set.
fn manifest() -> anyhow::Result<String> {
    let mut text = std::fs::read_to_string(root().join("charts/install.yaml"))?;
    for (variable, released) in
        [("TRIBUTARY_OPERATOR_IMAGE", "tributary/operator:dev"), ("TRIBUTARY_ENGINE_IMAGE", "tributary/engine:dev")]
    {
        if let Ok(image) = std::env::var(variable) {
            text = text.replace(released, &image);
        }
    }
    Ok(text)
}
