//! Random blueprints, and what must become of them.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tributary_crds::{Health, Pipeline, PipelinePhase};

use super::apiserver::NAMESPACE;
use super::rng::Rng;

pub const PIPELINE: &str = "p";

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    MapReduceJob,
    Job,
    Widget,
    Deployment,
    ConfigMap,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Link {
    /// A dataset, or `after` where the kinds have no port for it.
    Order,
    /// An output in an expression.
    Output,
}

#[derive(Clone, Debug)]
pub struct Component {
    pub kind: Kind,
    pub links: Vec<(usize, Link)>,
    pub left_out: bool,
    pub retries: u32,
    pub failures: u32,
    pub topic: bool,
    pub ttl: bool,
}

#[derive(Clone, Debug)]
pub struct Scenario {
    pub components: Vec<Component>,
    pub order: Vec<usize>,
    pub retain: bool,
}

/// What must become of a component.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Good,
    Failed,
    Skipped,
    Blocked,
}

impl Kind {
    pub fn is_batch(self) -> bool {
        matches!(self, Kind::MapReduceJob | Kind::Job | Kind::Widget)
    }

    fn output(self) -> Option<&'static str> {
        match self {
            Kind::MapReduceJob => Some("recordsWritten"),
            Kind::Job => Some("succeeded"),
            Kind::Widget => Some("answer"),
            Kind::Deployment => Some("readyReplicas"),
            Kind::ConfigMap => None,
        }
    }
}

impl Scenario {
    pub fn random(rng: &mut Rng) -> Self {
        let n = 1 + rng.below(6) as usize;
        let kinds = [Kind::MapReduceJob, Kind::Job, Kind::Widget, Kind::Deployment, Kind::ConfigMap];
        let mut components: Vec<Component> = Vec::new();
        for i in 0..n {
            let kind = kinds[rng.below(5) as usize];
            let mut links = Vec::new();
            for (j, upstream) in components.iter().enumerate() {
                if rng.chance(35) {
                    let output = upstream.kind.output().is_some() && rng.chance(40);
                    links.push((j, if output { Link::Output } else { Link::Order }));
                }
            }
            components.push(Component {
                kind,
                links,
                left_out: rng.chance(12),
                retries: rng.below(3),
                failures: if rng.chance(30) { 1 + rng.below(2) } else { 0 },
                topic: rng.chance(30),
                ttl: rng.chance(30),
            });
            let _ = i;
        }
        let mut order: Vec<usize> = (0..n).collect();
        for i in (1..n).rev() {
            order.swap(i, rng.below(i as u32 + 1) as usize);
        }
        Self { components, order, retain: rng.chance(50) }
    }

    pub fn child(&self, i: usize) -> String {
        format!("{PIPELINE}-c{i}")
    }

    pub fn fate(&self) -> BTreeMap<String, u32> {
        self.components.iter().enumerate().map(|(i, c)| (self.child(i), c.failures)).collect()
    }

    /// What must become of each component, whatever happens on the way.
    pub fn ends(&self) -> Vec<End> {
        let mut ends: Vec<End> = Vec::new();
        for c in &self.components {
            let upstream = |want: &[End]| c.links.iter().any(|(j, _)| want.contains(&ends[*j]));
            let needs_skipped = c.links.iter().any(|(j, l)| *l == Link::Output && ends[*j] == End::Skipped);
            ends.push(if c.left_out {
                End::Skipped
            } else if upstream(&[End::Failed, End::Blocked]) {
                End::Blocked
            } else if needs_skipped {
                End::Skipped
            } else if c.kind.is_batch() && c.failures > c.retries {
                End::Failed
            } else {
                End::Good
            });
        }
        ends
    }

    pub fn phase(&self) -> PipelinePhase {
        let ends = self.ends();
        if ends.contains(&End::Failed) {
            return PipelinePhase::Failed;
        }
        let any = |f: fn(&Component) -> bool| self.components.iter().any(f);
        if any(|c| c.kind.is_batch()) && !any(|c| c.kind == Kind::Deployment) {
            PipelinePhase::Succeeded
        } else {
            PipelinePhase::Running
        }
    }

    /// How often each child must be created.
    pub fn creations(&self) -> BTreeMap<String, usize> {
        let counted = self.components.iter().zip(self.ends()).enumerate().map(|(i, (c, end))| {
            let tries = if c.kind.is_batch() { c.failures.min(c.retries) as usize + 1 } else { 1 };
            (self.child(i), if matches!(end, End::Good | End::Failed) { tries } else { 0 })
        });
        counted.filter(|(_, n)| *n > 0).collect()
    }

    pub fn health(&self, i: usize) -> Health {
        match self.ends()[i] {
            End::Good if self.components[i].kind.is_batch() => Health::Succeeded,
            End::Good => Health::Ready,
            End::Failed => Health::Failed,
            End::Skipped => Health::Skipped,
            End::Blocked => Health::Pending,
        }
    }

    pub fn pipeline(&self) -> Pipeline {
        let components: Vec<Value> = self.order.iter().map(|i| self.component(*i)).collect();
        let topics: Vec<Value> = (0..self.components.len())
            .filter(|i| self.components[*i].topic)
            .map(|i| json!({"name": format!("t{i}"), "partitions": 2, "retain": self.retain}))
            .collect();
        let datasets: Vec<Value> = (0..self.components.len())
            .map(|i| json!({"name": format!("d{i}"), "location": format!("bucket/d{i}")}))
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "tributary.dev/v1alpha1",
            "kind": "Pipeline",
            "metadata": {"name": PIPELINE, "namespace": NAMESPACE},
            "spec": {
                "kafka": {"clusters": {"default": {"bootstrapServers": "kafka:9092"}}},
                "stores": {"default": {"endpoint": "http://s3:9000", "pathStyle": true}},
                "blueprint": {
                    "parameters": {"no": {"type": "boolean", "default": false}, "mark": {"type": "string", "default": "a"}},
                    "topics": topics,
                    "datasets": datasets,
                    "components": components,
                },
            },
        }))
        .unwrap()
    }

    fn component(&self, i: usize) -> Value {
        let c = &self.components[i];
        let (mut reads, mut after, mut uses) =
            (serde_json::Map::new(), Vec::new(), vec!["${parameters.mark}".to_owned()]);
        for (j, link) in &c.links {
            match (link, self.components[*j].kind.output()) {
                (Link::Output, Some(output)) => uses.push(format!("${{components.c{j}.outputs.{output}}}")),
                // a MapReduceJob has one input
                _ if c.kind == Kind::MapReduceJob && reads.contains_key("input") => after.push(format!("c{j}")),
                _ => {
                    let port = if c.kind == Kind::MapReduceJob { "input".to_owned() } else { format!("in{j}") };
                    reads.insert(port, format!("d{j}").into());
                }
            }
        }
        if c.topic {
            let port = if c.kind == Kind::MapReduceJob { "input" } else { "events" };
            if !reads.contains_key(port) {
                reads.insert(port.into(), format!("t{i}").into());
            }
        }
        let out = if c.kind == Kind::MapReduceJob { "output" } else { "out" };
        let mut component = json!({
            "name": format!("c{i}"),
            "reads": reads,
            "writes": {out: format!("d{i}")},
            "after": after,
            "retry": {"limit": c.retries, "backoff": "10s"},
            "template": self.template(c, &uses.join(",")),
        });
        if c.left_out {
            component["when"] = "${parameters.no}".into();
        }
        if c.kind == Kind::Widget {
            component["status"] = json!({
                "succeeded": "self.status.state == 'Done'",
                "failed": "self.status.state == 'Broken'",
                "outputs": {"answer": "self.status.answer"},
            });
        }
        component
    }

    fn template(&self, c: &Component, uses: &str) -> Value {
        let pod = json!({"containers": [{"name": "main", "image": "x", "args": [uses]}], "restartPolicy": "Never"});
        let mut template = match c.kind {
            Kind::MapReduceJob => {
                let mut spec = json!({"map": {"operator": "Words"}});
                let read = c.topic || c.links.iter().any(|(_, l)| *l == Link::Order);
                if !read {
                    spec["input"] = json!({"strings": ["a b"]});
                } else if !c.links.iter().any(|(_, l)| *l == Link::Order) {
                    spec["input"] = json!({"kafka": {"end": {"highWatermark": true}}});
                }
                json!({"apiVersion": "tributary.dev/v1alpha1", "kind": "MapReduceJob",
                    "metadata": {"annotations": {"uses": uses}}, "spec": spec})
            }
            Kind::Job => json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"template": {"spec": pod}}}),
            Kind::Widget => json!({"apiVersion": "example.com/v1", "kind": "Widget", "spec": {"uses": uses}}),
            Kind::Deployment => {
                let labels = json!({"app": "x"});
                json!({"apiVersion": "apps/v1", "kind": "Deployment", "spec": {"replicas": 1,
                    "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}}})
            }
            Kind::ConfigMap => json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"uses": uses}}),
        };
        if c.ttl && matches!(c.kind, Kind::MapReduceJob | Kind::Job) {
            template["spec"]["ttlSecondsAfterFinished"] = 30.into();
        }
        template
    }
}
