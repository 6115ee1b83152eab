//! Drivers: how ports are wired into each kind, what edits come to, and what holds of any status whatever.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod any;
mod edits;
mod one;
mod wiring;

use serde_json::{Value, json};
use tributary_blueprints::drivers::{self, Component};
use tributary_blueprints::object::Gvk;
use tributary_crds::Pipeline;

fn driver(api_version: &str, kind: &str) -> &'static dyn Component {
    let gvk = Gvk::parse(api_version, kind);
    drivers::of(&gvk.group, &gvk.kind)
}

fn pipeline(component: Value) -> Pipeline {
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "apps", "uid": "pipeline", "generation": 1},
        "spec": {
            "kafka": {"clusters": {"default": {"bootstrapServers": "kafka:9092"}}},
            "stores": {"default": {"endpoint": "http://s3:9000"}},
            "blueprint": {
                "schemas": {"click": {"jsonSchema": {"type": "object"}}},
                "topics": [{"name": "clicks", "schema": "click"}],
                "datasets": [{"name": "out", "location": "bucket/out"}],
                "components": [component],
            },
        },
    }))
    .unwrap()
}
