//! Twenty pipelines at once.

use serde_json::json;
use tributary_tests::job::{pipeline, text, upload};
use tributary_tests::{Namespace, reference, s3};

#[tokio::test]
async fn twenty_pipelines_at_once_all_end_right() -> anyhow::Result<()> {
    let ns = Namespace::new("many").await?.with_s3_secret().await?;
    let store = s3::client()?;
    let mut expected = Vec::new();
    for i in 0..20 {
        let text = text(1, 100 + i);
        upload(&store, &format!("{}-{i}", ns.name), &text, 2).await?;
        expected.push(reference::word_counts(&text)?);
    }
    for i in 0..20 {
        let place = format!("{}-{i}", ns.name);
        let workers = json!({"workers": {"replicas": 1, "template": {"spec": {"containers": [
            {"name": "worker", "resources": {"requests": {"cpu": "10m"}}},
        ]}}}});
        ns.apply(&pipeline(&format!("p{i}"), &place, &place, workers)?).await?;
    }
    for (i, expected) in expected.into_iter().enumerate() {
        ns.wait_phase("pipeline", &format!("p{i}"), "Succeeded").await?;
        let mut lines = s3::output(&store, "results", &format!("{}-{i}/", ns.name)).await?.lines;
        lines.sort();
        let mut expected = expected;
        expected.sort();
        assert!(lines == expected, "p{i}: {} lines instead of {}", lines.len(), expected.len());
    }
    ns.finish().await
}
