//! S3, as any client sees it.

use anyhow::Context;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};

use crate::env;

/// The test service's access key and secret key.
pub fn credentials() -> anyhow::Result<(String, String)> {
    Ok((env("AWS_ACCESS_KEY_ID")?, env("AWS_SECRET_ACCESS_KEY")?))
}

/// A client of the test service.
pub fn client() -> anyhow::Result<Client> {
    let (access, secret) = credentials()?;
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .endpoint_url(env("TRIBUTARY_S3")?)
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new(access, secret, None, None, "test"))
        .force_path_style(true)
        .build();
    Ok(Client::from_conf(config))
}

/// Makes a bucket, unless it is there.
pub async fn bucket(client: &Client, name: &str) -> anyhow::Result<()> {
    if client.head_bucket().bucket(name).send().await.is_err() {
        let made = client.create_bucket().bucket(name).send().await;
        if made.is_err() && client.head_bucket().bucket(name).send().await.is_err() {
            made.with_context(|| format!("bucket {name}"))?;
        }
    }
    Ok(())
}

/// Writes an object.
pub async fn put(client: &Client, bucket: &str, key: &str, body: Vec<u8>) -> anyhow::Result<()> {
    client.put_object().bucket(bucket).key(key).body(body.into()).send().await.with_context(|| key.to_owned())?;
    Ok(())
}

/// The keys below a prefix, in order.
pub async fn keys(client: &Client, bucket: &str, prefix: &str) -> anyhow::Result<Vec<String>> {
    let mut pages = client.list_objects_v2().bucket(bucket).prefix(prefix).into_paginator().send();
    let mut keys = Vec::new();
    while let Some(page) = pages.next().await {
        keys.extend(page?.contents().iter().filter_map(|o| o.key().map(str::to_owned)));
    }
    Ok(keys)
}

/// An object's bytes.
pub async fn get(client: &Client, bucket: &str, key: &str) -> anyhow::Result<Vec<u8>> {
    let object = client.get_object().bucket(bucket).key(key).send().await.with_context(|| key.to_owned())?;
    Ok(object.body.collect().await?.to_vec())
}

/// Ids of multipart uploads that are neither completed nor aborted, below a prefix.
pub async fn open_uploads(client: &Client, bucket: &str, prefix: &str) -> anyhow::Result<Vec<String>> {
    let list = client.list_multipart_uploads().bucket(bucket).prefix(prefix).send().await?;
    Ok(list.uploads().iter().filter_map(|u| u.key().map(str::to_owned)).collect())
}

/// The lines of the output below a prefix, part after part; an error where `_SUCCESS` is missing.
pub async fn output(client: &Client, bucket: &str, prefix: &str) -> anyhow::Result<Output> {
    let keys = keys(client, bucket, prefix).await?;
    anyhow::ensure!(keys.contains(&format!("{prefix}_SUCCESS")), "no _SUCCESS below {prefix}: {keys:?}");
    let parts: Vec<_> = keys.into_iter().filter(|k| !k.ends_with("_SUCCESS")).collect();
    let mut lines = Vec::new();
    for key in &parts {
        let body = String::from_utf8(get(client, bucket, key).await?)?;
        lines.extend(body.lines().map(str::to_owned));
    }
    Ok(Output { parts, lines })
}

/// A committed output.
#[derive(Clone, Debug)]
pub struct Output {
    /// The keys of its parts.
    pub parts: Vec<String>,
    /// All its lines.
    pub lines: Vec<String>,
}
