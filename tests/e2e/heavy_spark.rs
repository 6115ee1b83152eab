//! Spark for real: `cargo xtask test e2e heavy_spark` makes an image of PyPI's pyspark and a JDK, and Spark's own driver
//! and executors run on the cluster. It fetches 434 MB, hence only by name.

use serde_json::json;
use tributary_tests::standin::spark_submit;
use tributary_tests::{Namespace, env, kubectl, root};

#[tokio::test]
async fn an_application_of_a_pipeline_is_submitted_and_counts() -> anyhow::Result<()> {
    let ns = Namespace::new("spark").await?;
    kubectl::install_types(&root().join("tests/crds")).await?;
    ns.kubectl(&["create", "serviceaccount", "spark"]).await?;
    let account = format!("--serviceaccount={}:spark", ns.name);
    ns.kubectl(&["create", "rolebinding", "spark", "--clusterrole=edit", &account]).await?;
    let image = env("TRIBUTARY_SPARK_IMAGE")?;
    let _operator = spark_submit::run(&ns.name, &image).await?;
    let application = json!({
        "name": "words", "template": {"apiVersion": "sparkoperator.k8s.io/v1beta2", "kind": "SparkApplication", "spec": {
            "type": "Java", "mode": "cluster", "sparkVersion": "4.0.1", "image": image, "mainClass": "Words",
            "mainApplicationFile": "local:///app/words.jar", "arguments": ["to be or", "not to be"],
            "driver": {"cores": 1, "memory": "512m"}, "executor": {"cores": 1, "memory": "512m", "instances": 2}}},
    });
    let after = json!({
        "name": "after", "template": {"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": {
            "restartPolicy": "Never", "containers": [{"name": "c", "image": "busybox:1.28",
                "command": ["echo", "${components.words.outputs.applicationId}"]}]}}}},
    });
    ns.apply(&json!({
        "apiVersion": "tributary.dev/v1alpha1", "kind": "Pipeline", "metadata": {"name": "spark"},
        "spec": {"blueprint": {"components": [application, after]}},
    }))
    .await?;
    ns.wait_phase("pipeline", "spark", "Succeeded").await?;
    let log = ns.kubectl(&["logs", "spark-words-driver"]).await?;
    let mut counts: Vec<&str> = log.lines().filter_map(|l| l.strip_prefix("WORD\t")).collect();
    counts.sort_unstable();
    assert_eq!(counts, ["be\t2", "not\t1", "or\t1", "to\t2"], "{log}");
    let told = ns.kubectl(&["logs", "job/spark-after"]).await?;
    assert!(told.starts_with("spark-"), "{told}");
    ns.finish().await
}
