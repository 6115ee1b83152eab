//! The types' rules, as the apiserver enforces them.

use serde_json::{Value, json};
use tributary_tests::{JOB_TEMPLATES, Namespace, kubectl, kubectl::run, until};

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "tributary.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn component(name: &str) -> Value {
    json!({"name": name, "template": {"apiVersion": "batch/v1", "kind": "Job", "spec": {}}})
}

fn job(edit: impl FnOnce(&mut Value)) -> Value {
    let mut spec = json!({
        "input": {"s3": {"uri": "s3://texts/in"}},
        "map": {"operator": "Words"},
        "reduce": {"operator": "Sum"},
        "output": {"s3": {"uri": "s3://results/out"}},
    });
    edit(&mut spec);
    object("MapReduceJob", "job", spec)
}

fn good() -> Vec<Value> {
    let template = json!({"template": {"spec": {"containers": [{"name": "x", "image": "x"}]}}});
    vec![
        job(|_| {}),
        job(|s| s["input"] = json!({"strings": ["a b", "c"]})),
        job(|s| s["input"] = json!({"kafka": {"bootstrapServers": "k:9092", "topic": "t", "end": {"records": 5}}})),
        job(|s| {
            s["input"] = json!({"kafka": {"bootstrapServers": "k:9092", "topic": "t"}});
            s["continuous"] = json!({"commitInterval": "1s"});
        }),
        job(|s| s["output"] = json!({"results": {"limit": 10}})),
        object("Blueprint", "b", json!({"components": [component("one"), component("two")]})),
        object("Pipeline", "p", json!({"blueprintRef": {"name": "b"}})),
        object(
            "Pipeline",
            "p",
            json!({"blueprint": {"components": [component("one")]}, "parameters": {"x": [1, "a"]}}),
        ),
        object(
            "Topic",
            "t",
            json!({"kafka": {"bootstrapServers": "k:9092"}, "partitions": 3, "config": {"retention.ms": 1000}}),
        ),
        object("JobTemplate", "t", json!({"jobTemplate": template})),
        object(
            "JobFlow",
            "f",
            json!({"flows": [{"name": "a", "jobTemplate": template}, {"name": "b", "jobTemplateRef": "t", "dependencies": ["a"]}]}),
        ),
        object("DaemonJob", "d", json!({"excludeNodeList": "a, b", "template": template["template"]})),
    ]
}

/// Objects that must be refused, each with words that the refusal must have.
fn bad() -> Vec<(Value, &'static str)> {
    let long = "x".repeat(60);
    vec![
        (job(|s| s["input"]["strings"] = json!(["a"])), "exactly one of s3, kafka and strings must be set"),
        (job(|s| s["input"] = json!({})), "exactly one of s3, kafka and strings must be set"),
        (job(|s| s["input"]["s3"]["uri"] = json!("http://x/y")), "spec.input.s3.uri"),
        (job(|s| s["input"]["s3"]["format"] = json!("FixedLength")), "format FixedLength needs recordLength"),
        (job(|s| s["input"] = json!({"kafka": {"bootstrapServers": "k:9092", "topic": "t"}})), "spec.input.kafka.end"),
        (
            job(
                |s| s["input"] = json!({"kafka": {"bootstrapServers": "k", "topic": "t", "end": {"records": 5, "highWatermark": true}}}),
            ),
            "exactly one of offsets, timestamp, highWatermark and records must be set",
        ),
        (job(|s| s["map"] = json!({})), "exactly one of operator, cel, command and function must be set"),
        (job(|s| s["map"] = json!({"operator": "Grep"})), "operator Grep needs pattern"),
        (job(|s| s["map"] = json!({"operator": "Wrods"})), "spec.map.operator"),
        (job(|s| s["partitions"] = json!(0)), "spec.partitions"),
        (job(|s| s["output"] = json!({})), "at least one of s3, kafka and results must be set"),
        (job(|s| s["output"]["kafka"] = json!({"bootstrapServers": "k:1", "topic": "t"})), "s3 or kafka, not both"),
        (
            job(|s| {
                s["input"] = json!({"kafka": {"bootstrapServers": "k:9092", "topic": "t", "end": {"records": 5}}});
                s["output"] = json!({"results": {}});
            }),
            "spec.workspace is needed",
        ),
        (job(|s| s["wrokers"] = json!({})), "unknown field \"spec.wrokers\""),
        (object("MapReduceJob", &long, job(|_| {})["spec"].clone()), "at most 50 characters"),
        (object("Pipeline", "p", json!({})), "exactly one of blueprintRef and blueprint must be set"),
        (
            object("Pipeline", "p", json!({"blueprintRef": {"name": "b"}, "timeZone": "UTC"})),
            "timeZone goes with schedule",
        ),
        (
            object(
                "Pipeline",
                "p",
                json!({"blueprintRef": {"name": "b"}, "kafka": {"clusters": {"main": {"bootstrapServers": "k:1"}}, "topics": {"provider": "Strimzi"}}}),
            ),
            "provider Strimzi needs cluster",
        ),
        (object("Pipeline", &long, json!({"blueprintRef": {"name": "b"}})), "at most 40 characters"),
        (object("Blueprint", "b", json!({"components": []})), "spec.components"),
        (object("Blueprint", "b", json!({"components": [component("Upper_Case")]})), "spec.components[0].name"),
        (object("Blueprint", "b", json!({"components": [component("one"), component("one")]})), "Duplicate value"),
        (object("Blueprint", "b", json!({"components": [component("one")], "schemas": {"s": {}}})), "spec.schemas.s"),
        (
            object(
                "Blueprint",
                "b",
                json!({"components": [component("one")], "schemas": {"s": {"avro": "string", "jsonSchema": true}}}),
            ),
            "spec.schemas.s",
        ),
        (object("Topic", "t", json!({"kafka": {"bootstrapServers": "k:9092"}, "partitions": 0})), "spec.partitions"),
        (
            object("Topic", "t", json!({"kafka": {"bootstrapServers": "k:9092"}, "topicName": "."})),
            "no names for a topic",
        ),
        (object("JobFlow", "f", json!({"flows": [{"name": "a"}]})), "jobTemplate or jobTemplateRef must be set"),
        (
            object(
                "JobFlow",
                "f",
                json!({"flows": [{"name": "a", "jobTemplateRef": "t"}, {"name": "a", "jobTemplateRef": "t"}]}),
            ),
            "Duplicate value",
        ),
        (object("DaemonJob", "d", json!({"excludeNodeList": "a"})), "spec.template"),
    ]
}

#[tokio::test]
async fn good_objects_are_taken_and_bad_ones_refused_with_a_reason() -> anyhow::Result<()> {
    let _templates = JOB_TEMPLATES.lock().await;
    let ns = Namespace::bare("crds").await?;
    let dry = |object: Value| {
        let name = ns.name.clone();
        async move {
            run(&["-n", &name, "create", "--dry-run=server", "--validate=strict", "-f", "-"], &object.to_string()).await
        }
    };
    let mut wrong = Vec::new();
    for object in good() {
        let out = dry(object.clone()).await?;
        if !out.ok {
            wrong.push(format!("refused: {object}\n  {}", out.stderr));
        }
    }
    for (object, words) in bad() {
        let out = dry(object.clone()).await?;
        if out.ok || !out.stderr.contains(words) {
            wrong.push(format!("expected {words:?}: {object}\n  {}{}", out.stdout, out.stderr));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    ns.finish().await
}

#[tokio::test]
async fn immutable_fields_stay() -> anyhow::Result<()> {
    let ns = Namespace::bare("immutable").await?;
    let mut object = job(|s| s["suspend"] = json!(true));
    object["spec"]["managedBy"] = json!("example.com/none");
    ns.apply(&object).await?;
    for (edit, words) in [
        (json!({"spec": {"output": {"s3": {"uri": "s3://results/elsewhere"}}}}), "immutable"),
        (json!({"spec": {"managedBy": "example.com/other"}}), "managedBy is immutable"),
    ] {
        let patch = edit.to_string();
        let out = run(&["-n", &ns.name, "patch", "mapreducejob", "job", "--type=merge", "-p", &patch], "").await?;
        assert!(!out.ok && out.stderr.contains(words), "{patch}: {}{}", out.stdout, out.stderr);
    }
    ns.kubectl(&["patch", "mapreducejob", "job", "--type=merge", "-p", r#"{"spec":{"suspend":false}}"#]).await?;
    ns.finish().await
}

#[tokio::test]
async fn kinds_have_their_short_names_and_categories() -> anyhow::Result<()> {
    let _templates = JOB_TEMPLATES.lock().await;
    let ns = Namespace::bare("names").await?;
    until("every kind to be served", || async {
        let listed = kubectl(&["api-resources", "--api-group=tributary.dev", "--no-headers", "--cached=false"]).await?;
        let short: Vec<_> = listed.lines().filter_map(|l| l.split_whitespace().nth(1)).collect();
        Ok(((short == ["bp", "dj", "jf", "jt", "mrj", "pl", "tt"]).then_some(()), listed))
    })
    .await?;
    ns.apply(&object("Blueprint", "mine", json!({"components": [component("one")]}))).await?;
    assert!(ns.kubectl(&["get", "tributary"]).await?.contains("blueprint.tributary.dev/mine"));
    ns.finish().await
}
