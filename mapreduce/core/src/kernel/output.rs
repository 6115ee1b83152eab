//! What a reduce task writes.

use super::error::{BoxError, Error};
use super::reduce::ReduceOutput;

/// Takes bytes in order.
pub trait ByteSink {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// The caller's own; the task stops.
    fn write(&mut self, chunk: &[u8]) -> Result<(), BoxError>;
}

impl ByteSink for Vec<u8> {
    fn write(&mut self, chunk: &[u8]) -> Result<(), BoxError> {
        self.extend_from_slice(chunk);
        Ok(())
    }
}

impl<F: FnMut(&[u8]) -> Result<(), BoxError>> ByteSink for F {
    fn write(&mut self, chunk: &[u8]) -> Result<(), BoxError> {
        self(chunk)
    }
}

/// How a row is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputFormat {
    /// `key TAB value LF`, or `key LF` where the value is empty; the bytes are written as they are.
    #[default]
    Lines,
    /// `{"key":"...","value":...} LF`: numbers as numbers, bytes as strings with what is not UTF-8 replaced, null for
    /// an operator without values.
    JsonLines,
}

/// How a reduce task writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct OutputOptions {
    /// How a row is written.
    pub format: OutputFormat,
    /// How many first rows are returned besides, at most 64 KiB in all.
    pub first_rows: usize,
}

const CHUNK_BYTES: usize = 1 << 20;
const FIRST_ROWS_BYTES: usize = 64 << 10;

/// Writes rows into a sink.
pub(crate) struct RowWriter<'a> {
    options: &'a OutputOptions,
    sink: &'a mut dyn ByteSink,
    buffer: Vec<u8>,
    first_rows_bytes: usize,
    output: ReduceOutput,
}

enum Value<'a> {
    Bytes(&'a [u8]),
    Number(&'a [u8]),
    None,
}

impl<'a> RowWriter<'a> {
    pub(crate) fn new(options: &'a OutputOptions, sink: &'a mut dyn ByteSink) -> Self {
        Self { options, sink, buffer: Vec::new(), first_rows_bytes: 0, output: ReduceOutput::default() }
    }

    /// A row whose value is any bytes.
    pub(crate) fn bytes(&mut self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.row(key, &Value::Bytes(value))
    }

    /// A row whose value is the text of a number.
    pub(crate) fn number(&mut self, key: &[u8], text: &[u8]) -> Result<(), Error> {
        self.row(key, &Value::Number(text))
    }

    /// A row without a value.
    pub(crate) fn key(&mut self, key: &[u8]) -> Result<(), Error> {
        self.row(key, &Value::None)
    }

    /// Writes what is left, and counts.
    pub(crate) fn finish(mut self) -> Result<ReduceOutput, Error> {
        self.flush()?;
        Ok(self.output)
    }

    fn row(&mut self, key: &[u8], value: &Value<'_>) -> Result<(), Error> {
        let text = match *value {
            Value::Bytes(text) | Value::Number(text) => text,
            Value::None => b"",
        };
        match self.options.format {
            OutputFormat::Lines => {
                self.buffer.extend_from_slice(key);
                if !text.is_empty() {
                    self.buffer.push(b'\t');
                    self.buffer.extend_from_slice(text);
                }
            }
            OutputFormat::JsonLines => {
                self.buffer.extend_from_slice(b"{\"key\":");
                self.json_string(key);
                self.buffer.extend_from_slice(b",\"value\":");
                match *value {
                    Value::Bytes(text) => self.json_string(text),
                    Value::Number(text) => self.buffer.extend_from_slice(text),
                    Value::None => self.buffer.extend_from_slice(b"null"),
                }
                self.buffer.push(b'}');
            }
        }
        self.buffer.push(b'\n');
        self.output.records_written += 1;
        if self.output.first_rows.len() < self.options.first_rows {
            self.keep(key, text);
        }
        if self.buffer.len() >= CHUNK_BYTES { self.flush() } else { Ok(()) }
    }

    fn keep(&mut self, key: &[u8], text: &[u8]) {
        self.first_rows_bytes += key.len() + text.len();
        if self.first_rows_bytes <= FIRST_ROWS_BYTES {
            self.output.first_rows.push((key.to_vec(), text.to_vec()));
        }
    }

    fn json_string(&mut self, bytes: &[u8]) {
        // Writing a string into a Vec cannot fail.
        let _ = serde_json::to_writer(&mut self.buffer, &String::from_utf8_lossy(bytes));
    }

    fn flush(&mut self) -> Result<(), Error> {
        if !self.buffer.is_empty() {
            self.sink.write(&self.buffer).map_err(Error::Sink)?;
            self.output.bytes_written += self.buffer.len() as u64;
            self.buffer.clear();
        }
        Ok(())
    }
}
