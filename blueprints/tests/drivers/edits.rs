//! How long each kind lasts, how it is stopped, what an edit of it comes to, and which version of it is watched.

use serde_json::json;
use tributary_blueprints::change::Effect;
use tributary_blueprints::drivers::Lifetime;
use tributary_blueprints::object::Gvk;
use tributary_blueprints::world::Served;

use super::driver;

#[test]
fn lifetimes() {
    let rows = [
        ("sparkoperator.k8s.io/v1beta2", "SparkApplication", json!({}), Lifetime::Batch),
        (
            "sparkoperator.k8s.io/v1beta2",
            "SparkApplication",
            json!({"restartPolicy": {"type": "OnFailure"}}),
            Lifetime::Batch,
        ),
        (
            "sparkoperator.k8s.io/v1beta2",
            "SparkApplication",
            json!({"restartPolicy": {"type": "Always"}}),
            Lifetime::Stream,
        ),
        ("sparkoperator.k8s.io/v1beta2", "ScheduledSparkApplication", json!({}), Lifetime::Stream),
        ("spark.apache.org/v1", "SparkApplication", json!({}), Lifetime::Batch),
        (
            "spark.apache.org/v1",
            "SparkApplication",
            json!({"applicationTolerations": {"restartConfig": {"restartPolicy": "Always"}}}),
            Lifetime::Stream,
        ),
        ("flink.apache.org/v1beta1", "FlinkDeployment", json!({"job": {}}), Lifetime::Stream),
        ("flink.apache.org/v1beta1", "FlinkDeployment", json!({}), Lifetime::Stream),
        (
            "flink.apache.org/v1beta1",
            "FlinkDeployment",
            json!({"job": {}, "flinkConfiguration": {"execution.runtime-mode": "BATCH"}}),
            Lifetime::Batch,
        ),
        ("jobset.x-k8s.io/v1alpha2", "JobSet", json!({}), Lifetime::Batch),
        ("batch/v1", "CronJob", json!({}), Lifetime::Stream),
        ("apps/v1", "StatefulSet", json!({}), Lifetime::Stream),
        ("apps/v1", "DaemonSet", json!({}), Lifetime::Stream),
        ("v1", "ConfigMap", json!({}), Lifetime::Static),
        ("v1", "Secret", json!({}), Lifetime::Static),
        ("v1", "Service", json!({}), Lifetime::Static),
        ("v1", "PersistentVolumeClaim", json!({}), Lifetime::Static),
        ("example.com/v1", "Widget", json!({}), Lifetime::Either),
    ];
    for (api_version, kind, spec, lifetime) in rows {
        assert_eq!(driver(api_version, kind).lifetime(&json!({"spec": spec})), lifetime, "{kind} {spec}");
    }
}

#[test]
fn how_each_kind_is_stopped_and_let_go() {
    let rows = [
        (
            "sparkoperator.k8s.io/v1beta2",
            "SparkApplication",
            json!({}),
            Some((json!({"suspend": true}), json!({"suspend": false}))),
        ),
        (
            "sparkoperator.k8s.io/v1beta2",
            "ScheduledSparkApplication",
            json!({}),
            Some((json!({"suspend": true}), json!({"suspend": false}))),
        ),
        ("spark.apache.org/v1", "SparkApplication", json!({}), None),
        (
            "spark.apache.org/v1",
            "SparkApplication",
            json!({"suspend": false}),
            Some((json!({"suspend": true}), json!({"suspend": false}))),
        ),
        ("flink.apache.org/v1beta1", "FlinkDeployment", json!({}), None),
        (
            "flink.apache.org/v1beta1",
            "FlinkDeployment",
            json!({"job": {"jarURI": "x"}}),
            Some((
                json!({"job": {"jarURI": "x", "state": "suspended"}}),
                json!({"job": {"jarURI": "x", "state": "running"}}),
            )),
        ),
        ("jobset.x-k8s.io/v1alpha2", "JobSet", json!({}), Some((json!({"suspend": true}), json!({"suspend": false})))),
        ("batch/v1", "Job", json!({}), Some((json!({"suspend": true}), json!({"suspend": false})))),
        ("batch/v1", "CronJob", json!({}), Some((json!({"suspend": true}), json!({"suspend": false})))),
        ("apps/v1", "Deployment", json!({"replicas": 2}), Some((json!({"replicas": 0}), json!({"replicas": 0})))),
        ("apps/v1", "StatefulSet", json!({"replicas": 2}), Some((json!({"replicas": 0}), json!({"replicas": 0})))),
        ("apps/v1", "DaemonSet", json!({}), None),
        ("v1", "Service", json!({}), None),
        ("example.com/v1", "Widget", json!({}), None),
        (
            "example.com/v1",
            "Widget",
            json!({"suspend": false}),
            Some((json!({"suspend": true}), json!({"suspend": false}))),
        ),
    ];
    for (api_version, kind, spec, turned) in rows {
        let driver = driver(api_version, kind);
        let mut object = json!({"spec": spec});
        assert_eq!(driver.suspended(&object), turned.as_ref().map(|_| false), "{kind} {spec}");
        let Some((off, on)) = turned else { continue };
        driver.suspend(&mut object, true);
        assert_eq!((&object["spec"], driver.suspended(&object)), (&off, Some(true)), "{kind}");
        driver.suspend(&mut object, false);
        assert_eq!(object["spec"], on, "{kind}");
    }
}

#[test]
fn what_an_edit_comes_to() {
    let claim = |class: &str| json!({"spec": {"storageClassName": class}});
    let rows = [
        ("sparkoperator.k8s.io/v1beta2", "SparkApplication", json!({}), json!({}), Effect::Replace),
        ("spark.apache.org/v1", "SparkApplication", json!({}), json!({}), Effect::Replace),
        ("sparkoperator.k8s.io/v1beta2", "ScheduledSparkApplication", json!({}), json!({}), Effect::InPlace),
        ("jobset.x-k8s.io/v1alpha2", "JobSet", json!({}), json!({}), Effect::Replace),
        ("batch/v1", "CronJob", json!({}), json!({}), Effect::InPlace),
        (
            "flink.apache.org/v1beta1",
            "FlinkDeployment",
            json!({"spec": {"job": {}}}),
            json!({"spec": {"job": {}}}),
            Effect::Restart,
        ),
        ("v1", "PersistentVolumeClaim", claim("slow"), claim("slow"), Effect::InPlace),
        ("v1", "PersistentVolumeClaim", claim("slow"), json!({"spec": {}}), Effect::InPlace),
        ("v1", "PersistentVolumeClaim", claim("slow"), claim("fast"), Effect::Refused),
        ("apps/v1", "DaemonSet", json!({"spec": {"template": 1}}), json!({"spec": {"template": 2}}), Effect::Restart),
        ("apps/v1", "StatefulSet", json!({"spec": {"replicas": 1}}), json!({"spec": {"replicas": 2}}), Effect::InPlace),
        (
            "v1",
            "Secret",
            json!({"immutable": true, "data": {"a": "Yg=="}}),
            json!({"data": {"a": "Yg=="}}),
            Effect::InPlace,
        ),
        (
            "v1",
            "Secret",
            json!({"immutable": true, "data": {"a": "Yg=="}}),
            json!({"data": {"a": "eA=="}}),
            Effect::Replace,
        ),
        ("v1", "ConfigMap", json!({"immutable": true}), json!({"immutable": false}), Effect::Replace),
    ];
    for (api_version, kind, old, new, effect) in rows {
        let change = driver(api_version, kind).change(&old, &new);
        assert_eq!(change.effect, effect, "{kind} {old} -> {new}: {}", change.reason);
        assert!(!change.reason.is_empty());
    }
}

#[test]
fn the_served_version_of_a_kind_is_found() {
    let mut served = Served::default();
    let spark = driver("spark.apache.org/v1", "SparkApplication");
    assert!(spark.children(&served).is_empty());
    for (version, found) in
        [("v1alpha1", Some("v1alpha1")), ("v1beta1", Some("v1beta1")), ("v1", Some("v1")), ("v7", None)]
    {
        let gvk = Gvk::new("spark.apache.org", version, "SparkApplication");
        served.add(&gvk, "sparkapplications", true);
        assert_eq!(spark.children(&served).first().map(|g| g.version.as_str()), found);
    }
    // clusters are full of Secrets that are nobody's component
    for (api_version, kind) in
        [("v1", "Secret"), ("v1", "ConfigMap"), ("apps/v1", "StatefulSet"), ("apps/v1", "Deployment")]
    {
        served.add(&Gvk::parse(api_version, kind), "x", true);
    }
    let watched = tributary_blueprints::watched(&served);
    assert_eq!(watched.iter().map(|g| g.kind.as_str()).collect::<Vec<_>>(), ["Deployment"]);
}
