//! What an S3 service says, in a user's words.

use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::RequestId;

use super::StoreError;

/// The service's code of an error, such as `NoSuchBucket`; of a reply without one, its HTTP status.
pub(super) fn code<E: ProvideErrorMetadata>(error: &SdkError<E>) -> String {
    let status = || error.raw_response().map(|r| r.status().as_u16().to_string());
    error.code().map(str::to_owned).or_else(status).unwrap_or_default()
}

/// The error of an operation on `place` (`s3://bucket/key`).
pub(super) fn store_error<E>(error: SdkError<E>, place: String) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    SdkError<E>: RequestId,
{
    let status = error.raw_response().map(|r| r.status().as_u16());
    let message = || match error.message() {
        Some(message) => message.to_owned(),
        None => format!("the service answered {}", code(&error)),
    };
    match code(&error).as_str() {
        "NoSuchBucket" => StoreError::NoSuchBucket { place: bucket(&place) },
        "NoSuchKey" | "NotFound" | "404" => StoreError::NotFound { place },
        "NoSuchUpload" => StoreError::NoSuchUpload { place, upload: String::new() },
        "AccessDenied" | "InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken" | "403" => {
            StoreError::AccessDenied { place, message: message() }
        }
        _ if status.is_none() || status.is_some_and(|s| s >= 500 || s == 429) => {
            let message = if status.is_some() { message() } else { transport(&error) };
            StoreError::Unavailable { place, message }
        }
        _ => StoreError::Other { place, message: message() },
    }
}

/// The bucket of a place.
fn bucket(place: &str) -> String {
    let end = place.strip_prefix("s3://").and_then(|p| p.find('/')).map_or(place.len(), |i| i + "s3://".len());
    place[..end].to_owned()
}

/// What kept a request from being answered, down to the operating system's words; never the request itself, which
/// carries a signature.
fn transport<E>(error: &SdkError<E>) -> String
where
    E: std::error::Error + Send + Sync + 'static,
{
    match error {
        SdkError::TimeoutError(_) => "no answer in time".into(),
        SdkError::DispatchFailure(failure) => {
            let Some(connector) = failure.as_connector_error() else { return "the request was not sent".into() };
            let mut source: &dyn std::error::Error = connector;
            while let Some(next) = source.source() {
                source = next;
            }
            source.to_string()
        }
        SdkError::ConstructionFailure(_) => format!("{}", DisplayErrorContext(error)),
        _ => "the answer cannot be understood".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bucket_is_what_stands_before_the_first_slash() {
        assert_eq!(bucket("s3://texts/a/b"), "s3://texts");
        assert_eq!(bucket("s3://texts"), "s3://texts");
    }
}
