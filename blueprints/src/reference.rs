//! The reference documentation, made from the types themselves: every field of every kind, every problem, every function.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::drivers::Lifetime;
use crate::expr::functions::{FUNCTIONS, MACROS};
use crate::problem::Code;
use crate::resolve::scope::ROOTS;

const NOTE: &str = "<!-- Made by `cargo xtask docs` from the types; do not edit. -->\n";

/// The pages: file name and text.
pub fn pages() -> Vec<(String, String)> {
    let mut pages: Vec<(String, String)> = Vec::new();
    let mut index = format!("{NOTE}# Reference\n\n| kind | |\n|---|---|\n");
    for crd in tributary_crds::schema::all() {
        let kind = crd.spec.names.kind.clone();
        let schema = crd.spec.versions.first().map(|v| json!(v.schema)).unwrap_or_default();
        let schema = &schema["openAPIV3Schema"];
        let short = crd.spec.names.short_names.clone().unwrap_or_default().join(", ");
        let file = format!("{}.md", kind.to_lowercase());
        // writing to a string does not fail
        let _ = writeln!(index, "| [{kind}]({file}) | {} |", words(schema));
        pages.push((file, page(&kind, &crd.spec.group, &short, schema)));
    }
    index.push_str(
        "\nAlso: the [kinds](kinds.md) that components can be, the [problems](problems.md) that a verification finds, and what [expressions](expressions.md) are made of.\n",
    );
    pages.push(("README.md".into(), index));
    pages.push(("kinds.md".into(), kinds()));
    pages.push(("problems.md".into(), problems()));
    pages.push(("expressions.md".into(), expressions()));
    pages
}

fn page(kind: &str, group: &str, short: &str, schema: &Value) -> String {
    let mut text = format!(
        "{NOTE}# {kind}\n\n{}\n\n`apiVersion: {group}/{}`, `kind: {kind}`; short: `{short}`.\n",
        words(schema),
        tributary_crds::VERSION
    );
    for part in ["spec", "status"] {
        let of = &schema["properties"][part];
        if !of.is_object() {
            continue;
        }
        let mut rows = Vec::new();
        fields(of, part, &mut rows);
        let _ = write!(text, "\n## {part}\n\n| field | type | |\n|---|---|---|\n");
        text.push_str(&rows.concat());
        let mut rules = Vec::new();
        all_rules(of, part, &mut rules);
        if !rules.is_empty() {
            text.push_str("\nWhat must hold:\n");
            text.push_str(&rules.concat());
        }
    }
    text
}

/// A row for each field below `path`.
fn fields(schema: &Value, path: &str, rows: &mut Vec<String>) {
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        rows.push(row(&path, field, required.contains(&name.as_str())));
        below(field, &path, rows);
    }
}

fn below(field: &Value, path: &str, rows: &mut Vec<String>) {
    fields(field, path, rows);
    if field["items"].is_object() {
        below(&field["items"], &format!("{path}[]"), rows);
    }
    if field["additionalProperties"].is_object() {
        below(&field["additionalProperties"], &format!("{path}.*"), rows);
    }
}

fn row(path: &str, field: &Value, required: bool) -> String {
    let mut said = words(field);
    if let Some(words) = field["enum"].as_array() {
        let all: Vec<String> = words.iter().filter(|w| !w.is_null()).map(|w| format!("`{}`", plain(w))).collect();
        let _ = write!(said, " One of {}.", all.join(", "));
    }
    if let Some(default) = field.get("default") {
        let _ = write!(said, " Default: `{}`.", plain(default));
    }
    let mut limits = Vec::new();
    for (key, word) in [
        ("minimum", "at least"),
        ("maximum", "at most"),
        ("maxLength", "characters: at most"),
        ("maxItems", "elements: at most"),
    ] {
        if let Some(limit) = field[key].as_f64() {
            limits.push(format!("{word} {limit}"));
        }
    }
    if let Some(pattern) = field["pattern"].as_str() {
        limits.push(format!("matches `{}`", pattern.replace('|', "\\|")));
    }
    if !limits.is_empty() {
        let _ = write!(said, " ({})", limits.join("; "));
    }
    let bold = if required { "**" } else { "" };
    format!("| {bold}`{path}`{bold} | {} | {} |\n", type_of(field), said.trim())
}

fn type_of(field: &Value) -> String {
    if field["x-kubernetes-int-or-string"] == json!(true) {
        return "integer or text".into();
    }
    match field["type"].as_str() {
        Some("array") => format!("list of {}", type_of(&field["items"])),
        Some("object") if field["additionalProperties"].is_object() => {
            format!("map of {}", type_of(&field["additionalProperties"]))
        }
        Some(word) => word.to_owned(),
        None => "any".into(),
    }
}

fn all_rules(schema: &Value, path: &str, found: &mut Vec<String>) {
    for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
        if let Some(message) = rule["message"].as_str() {
            let said = format!("- `{path}`: {message}\n");
            if !found.contains(&said) {
                found.push(said);
            }
        }
    }
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        all_rules(field, &format!("{path}.{name}"), found);
    }
    if schema["items"].is_object() {
        all_rules(&schema["items"], &format!("{path}[]"), found);
    }
    if schema["additionalProperties"].is_object() {
        all_rules(&schema["additionalProperties"], &format!("{path}.*"), found);
    }
}

/// A description on one line of a table.
fn words(schema: &Value) -> String {
    let text = schema["description"].as_str().unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn kinds() -> String {
    let mut text = format!(
        "{NOTE}# Kinds of components\n\nAny kind can be a component's template. Those below have a driver: it tells what \
         reads and writes are bound to, reads the child's state, and knows what it gives. Any other is read by the usual \
         conditions (`Ready`, `Available`, `Complete`, `Failed`, ...) and `observedGeneration`; `status` rules of the component \
         say otherwise, for these too.\n\n\
         What ends by itself is waited for until it has succeeded, what goes on until it is ready, what is just there until it \
         exists. A SparkApplication that is always restarted, a MapReduceJob with `continuous` and what has a schedule go on; \
         a FlinkDeployment in batch mode ends.\n\n\
         | kind | versions | life | outputs | suspended by |\n|---|---|---|---|---|\n"
    );
    for driver in crate::drivers::ALL {
        let of = |version: &&str| crate::object::Gvk::new(driver.group(), version, "").api_version();
        let versions: Vec<String> = driver.versions().iter().map(|v| format!("`{}`", of(v))).collect();
        let life = match driver.lifetime(&json!({})) {
            Lifetime::Batch => "ends",
            Lifetime::Stream => "goes on",
            Lifetime::Static => "is there",
            Lifetime::Either => "either",
        };
        let outputs: Vec<String> = driver.outputs().iter().map(|(name, type_)| format!("`{name}` ({type_})")).collect();
        let (kind, versions, outputs) = (driver.kind(), versions.join(", "), outputs.join(", "));
        let _ = writeln!(text, "| {kind} | {versions} | {life} | {outputs} | {} |", driver.switch().as_str());
    }
    text
}

fn problems() -> String {
    let mut text = format!(
        "{NOTE}# Problems\n\nWhat `tributary verify`, a Blueprint's and a Pipeline's status say of what is wrong: a code, \
         the path of the field, the reason, and what may have been meant. The codes are stable.\n\n| code | |\n|---|---|\n"
    );
    for code in Code::ALL {
        let _ = writeln!(text, "| `{code}` | {} |", code.meaning());
    }
    text
}

fn expressions() -> String {
    let roots: Vec<String> = ROOTS.iter().map(|r| format!("`{r}`")).collect();
    let macros: Vec<String> = MACROS.iter().map(|m| format!("`{m}`")).collect();
    let mut text = format!(
        "{NOTE}# Expressions\n\n`${{...}}` in any string of a template is [CEL](https://cel.dev) over JSON values. A string that is one \
         expression keeps its type; in a longer one the value is put in as text. `$${{` stands for the characters `${{`.\n\n\
         Names: {}; in status rules only `self`.\n\nOperators: `+ - * / %`, `== != < <= > >=`, `in`, `&& || !`, `?:`, `.`, `[]`.\n\n\
         Macros: {}.\n\n| function | arguments |\n|---|---|\n",
        roots.join(", "),
        macros.join(", ")
    );
    for f in FUNCTIONS {
        let name = if f.method { format!("x.{}()", f.name) } else { format!("{}()", f.name) };
        let arguments = if f.min == f.max { f.min.to_string() } else { format!("{} to {}", f.min, f.max) };
        let _ = writeln!(text, "| `{name}` | {arguments} |");
    }
    text
}
