//! The parts of the OCI image format that are written here, with their fields in a fixed order.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// A blob: what it is, its digest and its size in bytes.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    pub media_type: String,
    pub digest: String,
    pub size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An image: its configuration and its layers.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u8,
    pub media_type: String,
    pub config: Descriptor,
    pub layers: Vec<Descriptor>,
}

/// The images of a layout.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u8,
    pub manifests: Vec<Descriptor>,
}

/// An image's configuration.
#[derive(Serialize)]
pub struct ImageConfig<'a> {
    pub architecture: &'a str,
    pub os: &'a str,
    pub config: RunConfig<'a>,
    pub rootfs: RootFs,
}

/// How a container of it runs.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct RunConfig<'a> {
    pub user: &'a str,
    pub env: [String; 1],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub entrypoint: &'a [String],
    pub working_dir: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: &'a BTreeMap<String, String>,
}

/// The digests of its unpacked layers.
#[derive(Serialize)]
pub struct RootFs {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub diff_ids: [String; 1],
}
