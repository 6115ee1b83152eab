//! A bucket of an S3 service.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    BehaviorVersion, Region, RequestChecksumCalculation, SharedCredentialsProvider, SharedHttpClient,
};
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier};
use bytes::Bytes;
use tributary_crds::S3Connection;

use super::s3_error::{code, store_error};
use super::{ObjectMeta, Part, Put, Result, Store, StoreError};

/// Tries of a request, the first one included; pauses grow from 100 ms to 5 s.
const TRIES: u32 = 8;
/// The longest that a request and its answer take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);
/// Tries of a conditional write that meets another one (409), with a pause of up to a second between them.
const CONFLICT_TRIES: u32 = 20;
/// Tries of a read whose answer is cut off.
const READ_TRIES: u32 = 4;
/// The metadata that holds an upload's tag.
const TAG: &str = "tributary-attempt";
/// Keys that one DeleteObjects takes.
const DELETE_BATCH: usize = 1_000;

/// A bucket of an S3 service.
#[derive(Clone)]
pub struct S3Store {
    client: Client,
    bucket: String,
    endpoint: String,
}

impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store").field("bucket", &self.bucket).field("endpoint", &self.endpoint).finish()
    }
}

impl S3Store {
    /// A bucket, by the credentials given. Nothing is sent yet.
    pub fn new(
        bucket: &str,
        connection: &S3Connection,
        credentials: SharedCredentialsProvider,
        http: SharedHttpClient,
    ) -> Self {
        let region = connection.region.clone().unwrap_or_else(|| "us-east-1".into());
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http)
            .region(Region::new(region))
            .credentials_provider(credentials)
            .force_path_style(connection.path_style)
            // services beside AWS do not all know the newer checksums
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .retry_config(
                RetryConfig::standard()
                    .with_max_attempts(TRIES)
                    .with_initial_backoff(Duration::from_millis(100))
                    .with_max_backoff(Duration::from_secs(5)),
            )
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(Duration::from_secs(5))
                    .operation_attempt_timeout(ATTEMPT_TIMEOUT)
                    .build(),
            );
        config.set_endpoint_url(connection.endpoint.clone());
        Self {
            client: Client::from_conf(config.build()),
            bucket: bucket.into(),
            endpoint: connection.endpoint.clone().unwrap_or_else(|| "AWS".into()),
        }
    }

    async fn get_once(
        &self,
        key: &str,
        range: Option<&Range<u64>>,
        etag: Option<&str>,
    ) -> std::result::Result<Bytes, Unread> {
        if range.is_some_and(Range::is_empty) {
            return Ok(Bytes::new());
        }
        let mut get = self.client.get_object().bucket(&self.bucket).key(key);
        if let Some(range) = range {
            get = get.range(format!("bytes={}-{}", range.start, range.end - 1));
        }
        if let Some(etag) = etag.filter(|etag| !etag.is_empty()) {
            get = get.if_match(etag);
        }
        let object = match get.send().await {
            Ok(object) => object,
            Err(e) => {
                return match code(&e).as_str() {
                    "InvalidRange" | "416" => Ok(Bytes::new()),
                    "PreconditionFailed" | "412" => {
                        Err(Unread::Refused(StoreError::Changed { place: self.place(key) }))
                    }
                    _ => Err(Unread::Refused(store_error(e, self.place(key)))),
                };
            }
        };
        let length = object.content_length();
        let body = object.body.collect().await.map_err(|e| Unread::Cut(e.to_string()))?.into_bytes();
        if length.is_some_and(|l| u64::try_from(l).ok() != Some(body.len() as u64)) {
            let message = format!("the answer ends after {} of {} bytes", body.len(), length.unwrap_or(0));
            return Err(Unread::Cut(message));
        }
        Ok(body)
    }

    async fn put_once(&self, key: &str, body: &Bytes) -> Result<Attempt> {
        let put = self.client.put_object().bucket(&self.bucket).key(key).if_none_match("*").body(body.clone().into());
        match put.send().await {
            Ok(_) => Ok(Attempt::Written),
            Err(e) => match code(&e).as_str() {
                "PreconditionFailed" | "412" => Ok(Attempt::Taken),
                "ConditionalRequestConflict" | "409" => Ok(Attempt::Conflict),
                _ => Err(store_error(e, self.place(key))),
            },
        }
    }
}

/// Why a read gave nothing.
enum Unread {
    /// The answer did not come whole.
    Cut(String),
    Refused(StoreError),
}

/// What one conditional write came to.
enum Attempt {
    Written,
    Taken,
    Conflict,
}

#[async_trait]
impl Store for S3Store {
    fn place(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectMeta>> {
        let mut pages = self.client.list_objects_v2().bucket(&self.bucket).prefix(prefix).into_paginator().send();
        let mut objects = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|e| store_error(e, self.place(prefix)))?;
            objects.extend(page.contents().iter().filter_map(|o| {
                Some(ObjectMeta {
                    key: o.key()?.to_owned(),
                    size: o.size().and_then(|s| u64::try_from(s).ok()).unwrap_or_default(),
                    etag: o.e_tag().unwrap_or_default().to_owned(),
                    tag: None,
                })
            }));
        }
        // services over a file system may list in another order
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(objects)
    }

    async fn get(&self, key: &str, range: Option<Range<u64>>, etag: Option<&str>) -> Result<Bytes> {
        let mut tries = 1;
        loop {
            match self.get_once(key, range.as_ref(), etag).await {
                Err(Unread::Cut(_)) if tries < READ_TRIES => {
                    tokio::time::sleep(Duration::from_millis(100 << tries)).await;
                    tries += 1;
                }
                Err(Unread::Cut(message)) => return Err(StoreError::Unavailable { place: self.place(key), message }),
                Err(Unread::Refused(error)) => return Err(error),
                Ok(body) => return Ok(body),
            }
        }
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectMeta>> {
        match self.client.head_object().bucket(&self.bucket).key(key).send().await {
            Ok(head) => Ok(Some(ObjectMeta {
                key: key.to_owned(),
                size: head.content_length().and_then(|s| u64::try_from(s).ok()).unwrap_or_default(),
                etag: head.e_tag().unwrap_or_default().to_owned(),
                tag: head.metadata().and_then(|m| m.get(TAG)).cloned(),
            })),
            Err(e) => match store_error(e, self.place(key)) {
                StoreError::NotFound { .. } => Ok(None),
                other => Err(other),
            },
        }
    }

    async fn put(&self, key: &str, body: Bytes) -> Result<()> {
        let put = self.client.put_object().bucket(&self.bucket).key(key).body(body.into());
        put.send().await.map(drop).map_err(|e| store_error(e, self.place(key)))
    }

    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<Put> {
        let mut tries = 0;
        loop {
            match self.put_once(key, &body).await? {
                Attempt::Written => return Ok(Put::Created),
                // a request whose reply was lost is sent again, and then meets itself
                Attempt::Taken => {
                    let found = self.get(key, None, None).await?;
                    return Ok(if found == body { Put::Created } else { Put::Exists });
                }
                Attempt::Conflict if tries < CONFLICT_TRIES => {
                    tries += 1;
                    tokio::time::sleep(Duration::from_millis((25 << tries.min(5)) + rand::random_range(0..25))).await;
                }
                Attempt::Conflict => {
                    let message = format!("{CONFLICT_TRIES} conditional writes met another one");
                    return Err(StoreError::Unavailable { place: self.place(key), message });
                }
            }
        }
    }

    async fn delete(&self, keys: &[String]) -> Result<()> {
        for batch in keys.chunks(DELETE_BATCH) {
            let mut objects = Vec::with_capacity(batch.len());
            for key in batch {
                let object = ObjectIdentifier::builder().key(key).build();
                let invalid = |e: aws_sdk_s3::error::BuildError| StoreError::Invalid {
                    place: self.place(key),
                    message: e.to_string(),
                };
                objects.push(object.map_err(invalid)?);
            }
            let delete = Delete::builder()
                .set_objects(Some(objects))
                .quiet(true)
                .build()
                .map_err(|e| StoreError::Invalid { place: self.place(""), message: e.to_string() })?;
            let deleted = self.client.delete_objects().bucket(&self.bucket).delete(delete).send().await;
            let deleted = deleted.map_err(|e| store_error(e, self.place(&batch[0])))?;
            if let Some(error) = deleted.errors().iter().find(|e| e.code() != Some("NoSuchKey")) {
                return Err(StoreError::Other {
                    place: self.place(error.key().unwrap_or_default()),
                    message: error.message().or(error.code()).unwrap_or("it was not deleted").to_owned(),
                });
            }
        }
        Ok(())
    }

    async fn start_upload(&self, key: &str, tag: &str) -> Result<String> {
        let start = self.client.create_multipart_upload().bucket(&self.bucket).key(key).metadata(TAG, tag);
        let started = start.send().await;
        let started = started.map_err(|e| store_error(e, self.place(key)))?;
        started.upload_id().map(str::to_owned).ok_or_else(|| StoreError::Other {
            place: self.place(key),
            message: "the service gave no upload id".into(),
        })
    }

    async fn upload_part(&self, key: &str, upload: &str, number: u32, body: Bytes) -> Result<Part> {
        let number_ = i32::try_from(number).map_err(|_| StoreError::Invalid {
            place: self.place(key),
            message: format!("part {number} is beyond what S3 takes"),
        })?;
        let put = self.client.upload_part().bucket(&self.bucket).key(key).upload_id(upload).part_number(number_);
        let put =
            put.body(body.into()).send().await.map_err(|e| upload_error(store_error(e, self.place(key)), upload))?;
        Ok(Part { number, etag: put.e_tag().unwrap_or_default().to_owned() })
    }

    async fn complete_upload(&self, key: &str, upload: &str, parts: &[Part]) -> Result<()> {
        let parts = parts.iter().map(|p| {
            CompletedPart::builder().part_number(i32::try_from(p.number).unwrap_or(i32::MAX)).e_tag(&p.etag).build()
        });
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.collect())).build();
        let complete = self.client.complete_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload);
        let completed = complete.multipart_upload(parts).send().await;
        completed.map(drop).map_err(|e| upload_error(store_error(e, self.place(key)), upload))
    }

    async fn abort_upload(&self, key: &str, upload: &str) -> Result<()> {
        let abort = self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(upload).send().await;
        match abort.map_err(|e| store_error(e, self.place(key))) {
            Ok(_) | Err(StoreError::NoSuchUpload { .. } | StoreError::NotFound { .. }) => Ok(()),
            Err(e) => Err(e),
        }
    }
}

fn upload_error(error: StoreError, id: &str) -> StoreError {
    match error {
        StoreError::NoSuchUpload { place, .. } => StoreError::NoSuchUpload { place, upload: id.to_owned() },
        other => other,
    }
}
