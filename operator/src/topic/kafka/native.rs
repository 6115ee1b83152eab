//! Guards and readers of librdkafka's objects, for [`super::raw`].
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char};

use rdkafka::types::{RDKafkaErrorCode, RDKafkaRespErr};
use rdkafka_sys as sys;

use super::raw::KafkaError;

/// Native objects that are freed with it.
pub(super) struct Array<T> {
    items: Vec<*mut T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Array<T> {
    pub(super) fn new(destroy: unsafe extern "C" fn(*mut T)) -> Self {
        Self { items: Vec::new(), destroy }
    }

    /// Takes the object over; `None` where it is null.
    pub(super) fn push(&mut self, item: *mut T) -> Option<*mut T> {
        if item.is_null() {
            return None;
        }
        self.items.push(item);
        Some(item)
    }

    /// As librdkafka takes arrays, which it does not change.
    pub(super) fn ptr(&self) -> *mut *mut T {
        self.items.as_ptr().cast_mut()
    }

    pub(super) fn len(&self) -> usize {
        self.items.len()
    }
}

impl<T> Drop for Array<T> {
    fn drop(&mut self) {
        for item in &self.items {
            // SAFETY: each object was made by the function that `destroy` undoes, and is freed only here.
            unsafe { (self.destroy)(*item) };
        }
    }
}

/// A buffer that librdkafka writes the reason of a failure to.
pub(super) struct Reason([c_char; Self::SIZE]);

impl Reason {
    pub(super) const SIZE: usize = 512;

    pub(super) fn new() -> Self {
        Self([0; Self::SIZE])
    }

    pub(super) fn ptr(&mut self) -> *mut c_char {
        self.0.as_mut_ptr()
    }

    pub(super) fn text(&self) -> String {
        // SAFETY: librdkafka ends what it writes with a zero, and the buffer began as zeros.
        unsafe { text(self.0.as_ptr()) }
    }
}

pub(super) fn out_of_memory() -> KafkaError {
    KafkaError::invalid("librdkafka could not make a request")
}

pub(super) fn c_string(text: &str) -> Result<CString, KafkaError> {
    CString::new(text).map_err(|_| KafkaError::invalid(format!("{text:?} has a zero byte")))
}

pub(super) fn check(code: RDKafkaRespErr) -> Result<(), KafkaError> {
    match RDKafkaErrorCode::from(code) {
        RDKafkaErrorCode::NoError => Ok(()),
        code => Err(KafkaError::new(code, code.to_string())),
    }
}

/// SAFETY: `text` is null or a string that ends with a zero.
pub(super) unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: by the caller.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// SAFETY: `error` is null or an error that belongs to the caller, who gives it away.
pub(super) unsafe fn owned_error(error: *mut sys::rd_kafka_error_t) -> Result<(), KafkaError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: by the caller; it is read before it is freed, and freed once.
    unsafe {
        let read = borrowed_error(error);
        sys::rd_kafka_error_destroy(error);
        read
    }
}

/// SAFETY: `error` is null or a living error.
pub(super) unsafe fn borrowed_error(error: *const sys::rd_kafka_error_t) -> Result<(), KafkaError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: by the caller.
    let (code, words) = unsafe { (sys::rd_kafka_error_code(error), text(sys::rd_kafka_error_string(error))) };
    if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR { Ok(()) } else { Err(KafkaError::new(code.into(), words)) }
}

pub(super) fn outcome(code: RDKafkaRespErr, words: String) -> Result<(), KafkaError> {
    if code == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    let code = RDKafkaErrorCode::from(code);
    Err(KafkaError::new(code, if words.is_empty() { code.to_string() } else { words }))
}
