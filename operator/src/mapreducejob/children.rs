//! The objects that a MapReduceJob is made of, as they are created.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::core::{DynamicObject, ObjectMeta, TypeMeta};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tributary_crds::{
    API_VERSION, KafkaConnection, MapReduceJob, S3Location, SecretKeyRef, SecretRef, Template, names,
};

use super::{Settings, template::merge};

/// The port that a coordinator listens on.
const PORT: u16 = 7070;
/// Where job.json is mounted.
const JOB_DIR: &str = "/etc/tributary/job";
/// Where the key is mounted.
const AUTH_DIR: &str = "/etc/tributary/auth";
/// The user that our images run as.
const NOBODY: u32 = 65_532;

/// A job's part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Hands out the tasks.
    Coordinator,
    /// Does them.
    Worker,
}

impl Role {
    /// As it stands in labels and names.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coordinator => "coordinator",
            Self::Worker => "worker",
        }
    }
}

/// The names of a job's children.
#[derive(Clone, Debug)]
pub struct Names {
    /// Of the coordinator's Job, ServiceAccount, Role and RoleBinding.
    pub coordinator: String,
    /// Of the workers' Job.
    pub worker: String,
    /// Of the Service.
    pub service: String,
    /// Of the Secret. It is the uid's own, so that one left behind by a former job of this name is never taken for it.
    pub secret: String,
}

impl Names {
    /// Of this job.
    pub fn of(job: &MapReduceJob) -> Self {
        let name = job.metadata.name.as_deref().unwrap_or_default();
        let coordinator = format!("{name}-coordinator");
        let service = if is_host_label(name) { coordinator.clone() } else { format!("mrj-{}", short_hash(name)) };
        let uid = job.metadata.uid.as_deref().unwrap_or_default();
        Self { coordinator, worker: format!("{name}-worker"), service, secret: format!("{name}-{}", short_hash(uid)) }
    }
}

/// Whether a Service's name may begin with it: a letter first, no dots.
fn is_host_label(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase()) && !name.contains('.')
}

/// 10 hexadecimal digits.
fn short_hash(text: &str) -> String {
    Sha256::digest(text).iter().take(5).map(|byte| format!("{byte:02x}")).collect()
}

/// Hash of what makes the pods of a role, beside what the operator itself puts there: an upgrade of the operator leaves
/// running pods alone.
pub fn template_hash(job: &MapReduceJob, role: Role) -> String {
    let spec = &job.spec;
    let parts = match role {
        Role::Coordinator => json!({"template": spec.coordinator.template}),
        Role::Worker => json!({"template": spec.workers.template, "slots": spec.workers.slots}),
    };
    short_hash(&parts.to_string())
}

/// The ServiceAccount of the coordinator.
pub fn service_account(job: &MapReduceJob) -> DynamicObject {
    object(job, "v1", "ServiceAccount", &Names::of(job).coordinator, json!({"automountServiceAccountToken": false}))
}

/// What the coordinator may do: read its own job and write its status.
pub fn role(job: &MapReduceJob) -> DynamicObject {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let rule = |resource: &str, verb: &str| json!({"apiGroups": [tributary_crds::GROUP], "resources": [resource], "resourceNames": [name], "verbs": [verb]});
    let rules = json!({"rules": [rule("mapreducejobs", "get"), rule("mapreducejobs/status", "patch")]});
    object(job, "rbac.authorization.k8s.io/v1", "Role", &Names::of(job).coordinator, rules)
}

/// Gives the coordinator its role.
pub fn role_binding(job: &MapReduceJob) -> DynamicObject {
    let name = Names::of(job).coordinator;
    let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
    let data = json!({
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    });
    object(job, "rbac.authorization.k8s.io/v1", "RoleBinding", &name, data)
}

/// The Secret with the key that coordinator and workers know each other by, and with what they are to do.
pub fn secret(job: &MapReduceJob, key: &[u8]) -> DynamicObject {
    let what = json!({
        "namespace": job.metadata.namespace,
        "name": job.metadata.name,
        "uid": job.metadata.uid,
        "spec": job.spec,
    });
    let base64 = |bytes: &[u8]| ByteString(bytes.to_vec());
    let data = json!({"key": base64(key), "job.json": base64(what.to_string().as_bytes())});
    let secret = json!({"immutable": true, "type": "Opaque", "data": data});
    object(job, "v1", "Secret", &Names::of(job).secret, secret)
}

/// Where the workers find the coordinator.
pub fn service(job: &MapReduceJob) -> DynamicObject {
    let spec = json!({"spec": {
        "selector": labels(job, Role::Coordinator),
        "publishNotReadyAddresses": true,
        "ports": [{"name": "http", "port": PORT, "targetPort": PORT}],
    }});
    object(job, "v1", "Service", &Names::of(job).service, spec)
}

/// The batch Job that runs the coordinator.
pub fn coordinator(job: &MapReduceJob, settings: &Settings) -> DynamicObject {
    let listen = format!("0.0.0.0:{PORT}");
    let mut pod = pod(job, settings, Role::Coordinator, &["--listen", &listen]);
    pod["spec"]["serviceAccountName"] = json!(Names::of(job).coordinator);
    pod["spec"]["automountServiceAccountToken"] = json!(true);
    overlay(&mut pod, job.spec.coordinator.template.as_ref(), job, Role::Coordinator);
    // crashes beyond that will not end by themselves
    batch_job(job, Role::Coordinator, json!({"completions": 1, "parallelism": 1, "backoffLimit": 100}), pod)
}

/// The batch Job that runs the workers. It ends when each of them does.
pub fn worker(job: &MapReduceJob, settings: &Settings) -> DynamicObject {
    let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
    let coordinator = format!("http://{}.{namespace}.svc:{PORT}", Names::of(job).service);
    let slots = job.spec.workers.slots.map(|slots| slots.to_string());
    let mut args = vec!["--coordinator", &coordinator];
    if let Some(slots) = &slots {
        args.extend(["--slots", slots]);
    }
    let mut pod = pod(job, settings, Role::Worker, &args);
    pod["spec"]["automountServiceAccountToken"] = json!(false);
    overlay(&mut pod, job.spec.workers.template.as_ref(), job, Role::Worker);
    // a lost worker costs no attempt, so their number is without limit
    batch_job(job, Role::Worker, json!({"parallelism": job.spec.workers.replicas, "backoffLimit": i32::MAX}), pod)
}

fn batch_job(job: &MapReduceJob, role: Role, mut spec: Value, pod: Value) -> DynamicObject {
    let names = Names::of(job);
    let name = match role {
        Role::Coordinator => &names.coordinator,
        Role::Worker => &names.worker,
    };
    spec["suspend"] = json!(job.spec.suspend);
    spec["template"] = pod;
    let mut object = object(job, "batch/v1", "Job", name, json!({"spec": spec}));
    object.metadata.labels = Some(labels(job, role));
    object.metadata.annotations = Some([(names::TEMPLATE_HASH.into(), template_hash(job, role))].into());
    object
}

/// The user's template over the default one; what the job stands on cannot be laid over.
fn overlay(pod: &mut Value, template: Option<&Template>, job: &MapReduceJob, role: Role) {
    if let Some(template) = template {
        merge(pod, &template.to_value());
        merge(pod, &json!({"metadata": {"labels": labels(job, role)}, "spec": {"restartPolicy": "OnFailure"}}));
    }
}

fn pod(job: &MapReduceJob, settings: &Settings, role: Role, args: &[&str]) -> Value {
    let (job_file, key_file) = (format!("{JOB_DIR}/job.json"), format!("{AUTH_DIR}/key"));
    let mut all = vec![role.as_str(), "--job", &job_file, "--key-file", &key_file];
    all.extend(args);
    let mut env = vec![json!({"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}})];
    env.extend(credentials(job));
    let mounts = [("job", JOB_DIR, true), ("auth", AUTH_DIR, true), ("tmp", "/tmp", false)]
        .map(|(name, path, read_only)| json!({"name": name, "mountPath": path, "readOnly": read_only}));
    let part = |name: &str, key: &str| {
        let items = [json!({"key": key, "path": key})];
        json!({"name": name, "secret": {"secretName": Names::of(job).secret, "items": items, "defaultMode": 0o440}})
    };
    let (cpu, memory) = match role {
        Role::Coordinator => ("20m", "32Mi"),
        Role::Worker => ("50m", "128Mi"),
    };
    json!({
        "metadata": {"labels": labels(job, role)},
        "spec": {
            "restartPolicy": "OnFailure",
            "terminationGracePeriodSeconds": 10,
            "enableServiceLinks": false,
            "securityContext": {
                "runAsNonRoot": true, "runAsUser": NOBODY, "runAsGroup": NOBODY, "fsGroup": NOBODY,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{
                "name": role.as_str(),
                "image": settings.engine_image,
                "imagePullPolicy": "IfNotPresent",
                "args": all,
                "env": env,
                "resources": {"requests": {"cpu": cpu, "memory": memory}},
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
                },
                "terminationMessagePolicy": "FallbackToLogsOnError",
                "volumeMounts": mounts,
            }],
            "volumes": [part("job", "job.json"), part("auth", "key"), json!({"name": "tmp", "emptyDir": {}})],
        },
    })
}

/// The variables that hold the credentials of the job's places. A Secret that is missing is told by the kubelet in the
/// pod's own status, and the operator need not read any.
fn credentials(job: &MapReduceJob) -> Vec<Value> {
    let spec = &job.spec;
    let places: [(&str, Option<&S3Location>); 3] = [
        ("INPUT", spec.input.s3.as_ref().map(|s| &s.location)),
        ("OUTPUT", spec.output.s3.as_ref().map(|s| &s.location)),
        ("WORKSPACE", spec.workspace.as_ref()),
    ];
    let of_s3 = places.into_iter().filter_map(|(name, place)| Some((name, place?.connection.secret_ref.as_ref()?)));
    let kafka = spec.input.kafka.as_ref().map(|k| &k.connection);
    let kafka = kafka.or(spec.output.kafka.as_ref().map(|k| &k.connection));
    of_s3
        .flat_map(|(name, secret)| s3_variables(name, secret))
        .chain(kafka.into_iter().flat_map(kafka_variables))
        .collect()
}

fn s3_variables(place: &str, secret: &SecretRef) -> Vec<Value> {
    [("AWS_ACCESS_KEY_ID", false), ("AWS_SECRET_ACCESS_KEY", false), ("AWS_SESSION_TOKEN", true)]
        .map(|(key, optional)| variable(&format!("TRIBUTARY_{place}_{key}"), &secret.name, key, optional))
        .to_vec()
}

fn kafka_variables(kafka: &KafkaConnection) -> Vec<Value> {
    let tls =
        |get: fn(&tributary_crds::KafkaTls) -> &Option<SecretKeyRef>| kafka.tls.as_ref().and_then(|t| get(t).as_ref());
    let all = [
        ("CA", tls(|t| &t.ca)),
        ("CERTIFICATE", tls(|t| &t.certificate)),
        ("KEY", tls(|t| &t.key)),
        ("USERNAME", kafka.sasl.as_ref().map(|s| &s.username)),
        ("PASSWORD", kafka.sasl.as_ref().map(|s| &s.password)),
    ];
    all.into_iter()
        .filter_map(|(name, from)| Some(variable(&format!("TRIBUTARY_KAFKA_{name}"), &from?.name, &from?.key, false)))
        .collect()
}

fn variable(name: &str, secret: &str, key: &str, optional: bool) -> Value {
    let mut from = json!({"name": secret, "key": key});
    if optional {
        from["optional"] = json!(true);
    }
    json!({"name": name, "valueFrom": {"secretKeyRef": from}})
}

fn labels(job: &MapReduceJob, role: Role) -> BTreeMap<String, String> {
    let name = job.metadata.name.clone().unwrap_or_default();
    [
        (names::JOB.to_owned(), name),
        (names::ROLE.to_owned(), role.as_str().to_owned()),
        (names::MANAGED_BY.to_owned(), names::MANAGER.to_owned()),
    ]
    .into()
}

/// A child: owned by the job, so that it goes with it.
fn object(job: &MapReduceJob, api_version: &str, kind: &str, name: &str, data: Value) -> DynamicObject {
    let mut labels = labels(job, Role::Coordinator);
    labels.remove(names::ROLE);
    let owner = OwnerReference {
        api_version: API_VERSION.into(),
        kind: "MapReduceJob".into(),
        name: job.metadata.name.clone().unwrap_or_default(),
        uid: job.metadata.uid.clone().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    };
    DynamicObject {
        types: Some(TypeMeta { api_version: api_version.into(), kind: kind.into() }),
        metadata: ObjectMeta {
            name: Some(name.into()),
            namespace: job.metadata.namespace.clone(),
            labels: Some(labels),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        data,
    }
}
