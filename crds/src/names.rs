//! Labels, annotations, finalizers, field managers and the names of children.

/// Label: the Pipeline that an object belongs to.
pub const PIPELINE: &str = "tributary.dev/pipeline";
/// Label: the component of that Pipeline.
pub const COMPONENT: &str = "tributary.dev/component";
/// Label: the topic of that Pipeline.
pub const TOPIC: &str = "tributary.dev/topic";
/// Label: the run of that Pipeline, JobFlow or DaemonJob, counted from 1.
pub const RUN: &str = "tributary.dev/run";
/// Label: the MapReduceJob that an object belongs to.
pub const JOB: &str = "tributary.dev/mapreducejob";
/// Label: the JobFlow that an object belongs to.
pub const FLOW: &str = "tributary.dev/jobflow";
/// Label: the step of that JobFlow.
pub const STEP: &str = "tributary.dev/step";
/// Label: the DaemonJob that an object belongs to.
pub const DAEMON_JOB: &str = "tributary.dev/daemonjob";
/// Annotation: the node that a DaemonJob's Job is for.
pub const NODE: &str = "tributary.dev/node";
/// Annotation: the uid of that node.
pub const NODE_UID: &str = "tributary.dev/node-uid";
/// Annotation: the item of a step's `forEach` that a Job is for, counted from 0.
pub const ITEM: &str = "tributary.dev/item";
/// Annotation: how often what a Job is for was tried before.
pub const ATTEMPT: &str = "tributary.dev/attempt";
/// Label: `coordinator` or `worker`.
pub const ROLE: &str = "tributary.dev/role";
/// Annotation of a Pipeline: a value that was not there before tries its failed components again.
pub const RETRY: &str = "tributary.dev/retry";
/// Annotation of a Pipeline: the revision whose destructive changes are wanted.
pub const CONFIRM: &str = "tributary.dev/confirm-revision";
/// Annotation of an object: the Pipeline that may take it over.
pub const ADOPT_BY: &str = "tributary.dev/adopt-by";
/// Annotation: hash of the template that an object was made from.
pub const TEMPLATE_HASH: &str = "tributary.dev/template-hash";
/// Annotation: `false` leaves a Topic's Kafka topic alone.
pub const MANAGED: &str = "tributary.dev/managed";
/// The recommended label for the tool that manages an object.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
/// Its value.
pub const MANAGER: &str = "tributary";
/// Finalizer of Pipeline and Topic.
pub const FINALIZER: &str = "tributary.dev/finalizer";
/// The longest name of a child: it becomes a label's value and part of host names.
pub const MAX_CHILD_NAME: usize = 63;

/// The name of a component's child: `<pipeline>-<component>`, and from run 2 on `<pipeline>-<component>-<run>`.
pub fn component_child(pipeline: &str, component: &str, run: i64) -> String {
    if run <= 1 { format!("{pipeline}-{component}") } else { format!("{pipeline}-{component}-{run}") }
}

/// The name of a topic's resource: `<pipeline>-<topic>`.
pub fn topic_child(pipeline: &str, topic: &str) -> String {
    format!("{pipeline}-{topic}")
}

/// The default Kafka name of a topic: `<namespace>.<pipeline>.<topic>`, so that pipelines do not share by accident.
pub fn kafka_topic(namespace: &str, pipeline: &str, topic: &str) -> String {
    format!("{namespace}.{pipeline}.{topic}")
}
