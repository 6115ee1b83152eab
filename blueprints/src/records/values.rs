//! Values that a JSON Schema lists: each is validated rather than compared.

use std::cell::OnceCell;

use jsonschema::ValidatorMap;
use serde_json::Value;

/// Which values the parts of a writer's and of a reader's schema take.
pub(super) struct Takes<'a> {
    writer: Document<'a>,
    reader: Document<'a>,
}

/// A schema, and the validators of its parts once one was asked for; `None` where there are none, as where a reference
/// leads out of the document or a pattern is none.
struct Document<'a> {
    root: &'a Value,
    validators: OnceCell<Option<ValidatorMap>>,
}

impl<'a> Takes<'a> {
    pub(super) fn new(writer: &'a Value, reader: &'a Value) -> Self {
        let of = |root| Document { root, validators: OnceCell::new() };
        Self { writer: of(writer), reader: of(reader) }
    }

    /// Whether a value is surely one that the writer's part takes and the reader's does not. Both are parts of their
    /// documents, by address.
    pub(super) fn only_writer(&self, value: &Value, writer: &Value, reader: &Value) -> bool {
        self.reader.takes(value, reader) == Some(false) && self.writer.takes(value, writer) == Some(true)
    }
}

impl Document<'_> {
    /// Whether a part of the schema takes a value; `None` where that is not known.
    fn takes(&self, value: &Value, part: &Value) -> Option<bool> {
        let build = || jsonschema::options().offline().should_validate_formats(false).build_map(self.root).ok();
        let validators = self.validators.get_or_init(build).as_ref()?;
        Some(validators.get(&format!("#{}", pointer(self.root, part)?))?.is_valid(value))
    }
}

/// The JSON Pointer of a part of a document.
fn pointer(root: &Value, part: &Value) -> Option<String> {
    if std::ptr::eq(root, part) {
        return Some(String::new());
    }
    let below = |step: &str, inner: &Value| {
        let rest = pointer(inner, part)?;
        Some(format!("/{}{rest}", step.replace('~', "~0").replace('/', "~1")))
    };
    match root {
        Value::Object(fields) => fields.iter().find_map(|(name, inner)| below(name, inner)),
        Value::Array(items) => items.iter().enumerate().find_map(|(i, inner)| below(&i.to_string(), inner)),
        _ => None,
    }
}
