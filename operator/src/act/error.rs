//! What can go wrong with a write.

use std::time::Duration;

use kube::core::Status;
use tributary_blueprints::object::{Gvk, ObjectKey};
use tributary_crds::Reason;

/// Why a write did not happen, or may not have.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The object is not as the decision took it to be: decide again.
    #[error("{key} has changed meanwhile: {message}")]
    Conflict {
        /// The object.
        key: ObjectKey,
        /// The apiserver's words.
        message: String,
    },
    /// The apiserver refuses, and will until somebody changes something.
    #[error("{key} is refused: {message}")]
    Refused {
        /// The object.
        key: ObjectKey,
        /// `Forbidden` or `Rejected`.
        reason: Reason,
        /// The apiserver's words.
        message: String,
    },
    /// The kind went away.
    #[error("{0} is not served")]
    NotServed(Gvk),
    /// The apiserver cannot now; it may have said when.
    #[error("{key}: {}", words(source))]
    Transient {
        /// The object.
        key: ObjectKey,
        /// When to try again.
        retry_after: Option<Duration>,
        /// The error.
        source: Box<kube::Error>,
    },
    /// No answer in time.
    #[error("{key}: no answer within {limit:?}")]
    Timeout {
        /// The object.
        key: ObjectKey,
        /// The time it had.
        limit: Duration,
    },
    /// An object that cannot be written at all: a defect of this program.
    #[error("{key}: {message}")]
    Malformed {
        /// The object.
        key: ObjectKey,
        /// What is wrong.
        message: String,
    },
    /// An effect beyond the apiserver failed.
    #[error("{0}")]
    Effect(String),
}

impl ActError {
    /// When the apiserver wants to be asked again, if it said so.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Transient { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Reads the apiserver's answer to a write of `key`.
    pub fn of(key: &ObjectKey, error: kube::Error) -> Self {
        let key = key.clone();
        let kube::Error::Api(status) = &error else {
            return Self::Transient { key, retry_after: None, source: Box::new(error) };
        };
        let message = status.message.clone();
        match status.code {
            404 | 409 => Self::Conflict { key, message },
            403 => Self::Refused { key, reason: Reason::Forbidden, message },
            400 | 405 | 413 | 415 | 422 => Self::Refused { key, reason: Reason::Rejected, message },
            _ => Self::Transient { key, retry_after: retry_after(status), source: Box::new(error) },
        }
    }
}

/// An error of the client without the repetitions of its own words.
pub fn words(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        other => {
            let mut text = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(cause) = source {
                let cause_text = cause.to_string();
                if !text.contains(&cause_text) {
                    text = format!("{text}: {cause_text}");
                }
                source = cause.source();
            }
            text
        }
    }
}

/// When the apiserver wants to be asked again.
fn retry_after(status: &Status) -> Option<Duration> {
    let seconds = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    // API Priority and Fairness says it in a header only, and it is always one second
    let seconds = if seconds == 0 && status.code == 429 { 1 } else { seconds };
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(code: u16, seconds: u32) -> ActError {
        let status = json!({"code": code, "message": "words", "details": {"retryAfterSeconds": seconds}});
        ActError::of(&ObjectKey::default(), kube::Error::Api(serde_json::from_value(status).unwrap()))
    }

    #[test]
    fn answers_are_sorted_by_who_can_mend_them() {
        assert!(matches!(read(409, 0), ActError::Conflict { .. }));
        assert!(matches!(read(404, 0), ActError::Conflict { .. }));
        for (code, expected) in [(403, Reason::Forbidden), (422, Reason::Rejected), (400, Reason::Rejected)] {
            assert!(matches!(read(code, 0), ActError::Refused { reason, .. } if reason == expected), "{code}");
        }
        let wait = |code, seconds| match read(code, seconds) {
            ActError::Transient { retry_after, .. } => retry_after,
            other => panic!("{other}"),
        };
        assert_eq!(wait(429, 7), Some(Duration::from_secs(7)));
        assert_eq!(wait(429, 0), Some(Duration::from_secs(1)));
        assert_eq!(wait(503, 0), None);
        assert_eq!(wait(401, 0), None);
    }
}
