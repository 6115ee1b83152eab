//! What goes wrong with a store, in a user's words.

/// Why an operation of a store failed. Every variant names the place.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The bucket, or the directory that stands for it.
    #[error("{place}: there is no such bucket")]
    NoSuchBucket {
        /// The bucket.
        place: String,
    },
    /// The object.
    #[error("{place}: there is no such object")]
    NotFound {
        /// The object.
        place: String,
    },
    /// The credentials are wrong or do not suffice.
    #[error("{place}: access denied: {message}")]
    AccessDenied {
        /// What was asked for.
        place: String,
        /// The store's words.
        message: String,
    },
    /// An object that a job reads was overwritten.
    #[error("{place} was overwritten while the job read it")]
    Changed {
        /// The object.
        place: String,
    },
    /// An upload that was completed or aborted before.
    #[error("{place}: there is no upload {upload}")]
    NoSuchUpload {
        /// The key.
        place: String,
        /// The upload.
        upload: String,
    },
    /// The store did not answer, or said that it cannot now; retries were of no use.
    #[error("{place}: the store cannot be reached: {message}")]
    Unavailable {
        /// What was asked for.
        place: String,
        /// What was seen.
        message: String,
    },
    /// A key or a location that the store cannot have.
    #[error("{place}: {message}")]
    Invalid {
        /// The key or location.
        place: String,
        /// What is wrong with it.
        message: String,
    },
    /// Anything else.
    #[error("{place}: {message}")]
    Other {
        /// What was asked for.
        place: String,
        /// What was seen.
        message: String,
    },
}

impl StoreError {
    /// Whether the same call may do better later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}
