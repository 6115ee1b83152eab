//! Whole jobs in one process, against references.

#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;
use std::io::Write;

use bytes::Bytes;
use common::{World, count_words, text};
use serde_json::{Value, json};
use tributary_crds::{EnginePhase, EngineStatus};
use tributary_mapreduce::local::{self, Error};

fn wordcount(more: Value) -> Value {
    let mut spec = json!({
        "input": {"s3": {"uri": "s3://in/texts", "splitSize": "16Ki"}},
        "map": {"operator": "Words"},
        "reduce": {"operator": "Sum"},
        "partitions": 3,
        "output": {"s3": {"uri": "s3://out/counts"}, "results": {"limit": 5}},
    });
    merge(&mut spec, more);
    spec
}

fn merge(into: &mut Value, more: Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more,
    }
}

fn succeeded(status: &EngineStatus) {
    assert_eq!(status.phase, EnginePhase::Succeeded, "{}: {}", status.reason, status.message);
}

fn failed(status: &EngineStatus, reason: &str, message: &str) {
    let found = (status.phase, status.reason.as_str());
    assert_eq!(found, (EnginePhase::Failed, reason), "{}", status.message);
    assert!(status.message.contains(message), "{}", status.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_counted() {
    let world = World::new();
    let texts: Vec<String> = (0..5).map(|seed| text(seed, 800)).collect();
    for (i, text) in texts.iter().enumerate() {
        world.write(&format!("in/texts/{i}/text.txt"), text);
    }
    world.write("in/texts/_hidden", "hidden hidden");
    world.write("in/texts/.also/a", "hidden hidden");
    world.write("in/texts/empty", "");
    let status = world.run(wordcount(json!({}))).await;
    succeeded(&status);
    let reference = count_words(texts.iter().map(String::as_str));
    let rows = world.rows("out/counts");
    assert_eq!(rows.len(), reference.len());
    assert_eq!(rows.into_iter().collect::<BTreeMap<_, _>>(), reference);

    let bytes: usize = texts.iter().map(String::len).sum();
    assert!(status.map.total >= 10 && status.map.total == status.map.finished, "{:?}", status.map);
    assert_eq!((status.reduce.done.as_str(), status.bytes_read), ("3/3", bytes as i64));
    assert_eq!(status.records_read, 5 * 800);
    assert_eq!(status.records_written, reference.len() as i64);
    let first: Vec<_> = status.results.iter().map(|row| (row.key.clone(), row.value.clone())).collect();
    assert_eq!(first, reference.into_iter().take(5).collect::<Vec<_>>());
    assert!(status.first_task_time.is_some() && status.completion_time.is_some());

    // nothing but the output and what was there before
    let left: Vec<String> = world.files().into_iter().filter(|f| !f.starts_with("in/")).collect();
    let parts = ["_SUCCESS", "part-r-00000", "part-r-00001", "part-r-00002"];
    assert_eq!(left, parts.map(|part| format!("out/counts/{part}")));
    let success: Value = serde_json::from_slice(&world.read("out/counts/_SUCCESS")).unwrap();
    assert_eq!((&success["job"], success["outputs"].as_array().unwrap().len()), (&json!("uid"), 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_and_few_large_objects_give_the_same() {
    let world = World::new();
    let texts: Vec<String> = (0..300).map(|seed| text(seed, 3)).collect();
    for (i, text) in texts.iter().enumerate() {
        world.write(&format!("in/texts/{i:03}"), text);
    }
    world.write("in/one/all", texts.concat());
    let many = world.run(wordcount(json!({}))).await;
    succeeded(&many);
    assert!(many.map.total < 10, "small objects share a task: {}", many.map.total);
    let one = json!({"input": {"s3": {"uri": "s3://in/one/all"}}, "output": {"s3": {"uri": "s3://out/one"}}});
    succeeded(&world.run(wordcount(one)).await);
    assert_eq!(world.rows("out/counts"), world.rows("out/one"));
}

#[tokio::test(flavor = "multi_thread")]
async fn spills_change_nothing() {
    let world = World::new();
    let text = (0..60_000).map(|n| format!("key{} {n}\n", n % 30_011)).collect::<String>();
    world.write("in/texts/a", &text);
    let spec = json!({"workers": {"sortMemory": "64Ki"}, "input": {"s3": {"splitSize": "1Mi"}}});
    succeeded(&world.run(wordcount(spec)).await);
    let rows: BTreeMap<_, _> = world.rows("out/counts").into_iter().collect();
    assert_eq!(rows, count_words([text.as_str()]));
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_objects_are_read() {
    let world = World::new();
    let (plain, zipped, packed) = (text(1, 500), text(2, 500), text(3, 500));
    world.write("in/texts/a.txt", &plain);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(zipped.as_bytes()).unwrap();
    let member = gzip.finish().unwrap();
    // a file of two members
    world.write("in/texts/b.gz", [&member[..], &member[..]].concat());
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    world.write("in/texts/c.zst", ruzstd::encoding::compress_to_vec(packed.as_bytes(), level));
    let status = world.run(wordcount(json!({}))).await;
    succeeded(&status);
    let rows: BTreeMap<_, _> = world.rows("out/counts").into_iter().collect();
    assert_eq!(rows, count_words([&plain[..], &zipped, &zipped, &packed]));
    world.write("in/texts/d.gz", "this is no gzip file");
    let status = world.run(wordcount(json!({"output": {"s3": {"ifExists": "Replace"}}}))).await;
    failed(&status, "TaskFailed", "in/texts/d.gz");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_read_to_its_end() {
    let world = World::new();
    world.topics.create("lines", 3);
    let lines = text(4, 400);
    for line in lines.lines() {
        world.topics.append("lines", None, Bytes::copy_from_slice(line.as_bytes())).unwrap();
    }
    let topic = json!({"bootstrapServers": "b:9092", "topic": "lines", "end": {"records": 400}, "splitRecords": 50});
    let spec = |topic: &Value| {
        json!({
            "input": {"kafka": topic},
            "map": {"operator": "Words"},
            "reduce": {"operator": "Count"},
            "output": {"s3": {"uri": "s3://out/counts", "ifExists": "Replace"}},
            "workspace": {"uri": "s3://scratch/ws"},
        })
    };
    let status = world.run(spec(&topic)).await;
    succeeded(&status);
    assert!(status.map.total >= 8);
    assert_eq!(status.records_read, 400);
    assert_eq!(world.rows("out/counts").into_iter().collect::<BTreeMap<_, _>>(), count_words([lines.as_str()]));

    let more = json!({"bootstrapServers": "b:9092", "topic": "lines", "end": {"records": 401}});
    let topics = world.topics.clone();
    let mut waited = false;
    let status = local::run(world.job(spec(&more)), |status| {
        if status.message == "waiting for records: 400 of 401" && !waited {
            waited = true;
            topics.append("lines", None, Bytes::from_static(b"late")).unwrap();
        }
    });
    succeeded(&status.await.unwrap());
    assert!(waited && world.rows("out/counts").contains(&("late".to_owned(), "1".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn strings_give_results_in_the_status() {
    let world = World::new();
    let spec = json!({
        "input": {"strings": ["b 1", "a 2", "b 3"]},
        "map": {"operator": "Words"},
        "reduce": {"operator": "Top", "limit": 2},
        "partitions": 7,
        "output": {"results": {}},
    });
    let status = world.run(spec).await;
    succeeded(&status);
    let rows: Vec<_> = status.results.iter().map(|row| (row.key.as_str(), row.value.as_str())).collect();
    assert_eq!(rows, [("b", "2"), ("1", "1")]);
    assert_eq!((status.reduce.total, status.records_written), (1, 2));
    assert_eq!(world.files(), [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_reduce_step_records_are_sorted() {
    let world = World::new();
    world.write("in/a", "b\t2\na\t9\nb\t1\nc\n");
    let spec = json!({
        "input": {"s3": {"uri": "s3://in"}},
        "map": {"operator": "Identity"},
        "output": {"s3": {"uri": "s3://out", "format": "JsonLines"}},
    });
    succeeded(&world.run(spec).await);
    let lines = String::from_utf8(world.read("out/part-r-00000")).unwrap();
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let row = |key: &str, value: &str| json!({"key": key, "value": value});
    assert_eq!(rows, [row("a", "9"), row("b", "2"), row("b", "1"), row("c", "")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_to_read_makes_an_empty_output() {
    let world = World::new();
    world.write("in/texts/empty", "");
    let status = world.run(wordcount(json!({}))).await;
    succeeded(&status);
    assert_eq!((world.rows("out/counts").len(), status.map.total), (0, 0));
    assert_eq!(world.read("out/counts/part-r-00002"), b"");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_is_kept_or_replaced() {
    let world = World::new();
    world.write("in/texts/a", "one");
    world.write("out/counts/part-r-00007", "old");
    world.write("out/counts/deep/er", "old");
    world.write("out/counts/_SUCCESS", "old");
    world.write("out/other", "kept");
    world.write("out/.tributary/another/journal/00000001", "kept");
    let status = world.run(wordcount(json!({}))).await;
    failed(&status, "OutputExists", "ifExists: Replace");
    assert_eq!(world.read("out/counts/_SUCCESS"), b"old");

    succeeded(&world.run(wordcount(json!({"output": {"s3": {"ifExists": "Replace"}}}))).await);
    let parts: Vec<String> = world.files().into_iter().filter(|f| f.starts_with("out/counts")).collect();
    assert_eq!(parts.len(), 4, "{parts:?}");
    // also where the output is a whole bucket, which has the workspace in it
    let whole = json!({"output": {"s3": {"uri": "s3://out", "ifExists": "Replace"}}});
    succeeded(&world.run(wordcount(whole)).await);
    let left: Vec<String> = world.files().into_iter().filter(|f| f.starts_with("out/")).collect();
    let kept = ".tributary/another/journal/00000001";
    assert_eq!(left, [kept, "_SUCCESS", "part-r-00000", "part-r-00001", "part-r-00002"].map(|f| format!("out/{f}")));
    // and a workspace is nothing that stands in the way
    for part in &left[1..] {
        std::fs::remove_file(world.dir.path().join(part)).unwrap();
    }
    succeeded(&world.run(wordcount(json!({"output": {"s3": {"uri": "s3://out"}}}))).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said() {
    let world = World::new();
    world.write("in/texts/a", "one");
    let no_bucket = json!({"input": {"s3": {"uri": "s3://nowhere/texts"}}});
    failed(&world.run(wordcount(no_bucket)).await, "InputNotFound", "there is no such bucket");
    let nothing = json!({"input": {"s3": {"uri": "s3://in/other"}}});
    failed(&world.run(wordcount(nothing)).await, "InputNotFound", "there are no objects");
    let output = json!({"s3": {"uri": "s3://nowhere/counts", "ifExists": "Replace"}});
    let no_place = json!({"output": output, "workspace": {"uri": "s3://scratch/ws"}});
    failed(&world.run(wordcount(no_place)).await, "OutputNotFound", "there is no such bucket");
    let command = json!({"map": {"operator": null, "command": ["cat"]}});
    failed(&world.run(wordcount(command)).await, "InvalidSpec", "spec.map.command is not available yet");
    let numbers = json!({"map": {"operator": "Identity"}});
    world.write("in/texts/b", "key\tno number\n");
    let status = world.run(wordcount(numbers)).await;
    failed(&status, "TaskFailed", "at byte 0: the value");
    assert_eq!(status.failures.len(), 1, "it would fail likewise again");
    let left: Vec<String> = world.files().into_iter().filter(|f| !f.starts_with("in/")).collect();
    assert_eq!(left, [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_are_skipped_and_kept() {
    let world = World::new();
    world.write("in/texts/a", "x\t1\nx\tbad\ny\t2\nz\tworse\n");
    let spec = |limit: u32| wordcount(json!({"map": {"operator": "Identity"}, "failure": {"skipBadRecords": limit}}));
    failed(&world.run(spec(1)).await, "TaskFailed", "failure.skipBadRecords");
    let status = world.run(spec(2)).await;
    succeeded(&status);
    assert_eq!(status.records_skipped, 2);
    let mut rows = world.rows("out/counts");
    rows.sort();
    assert_eq!(rows, [("x".to_owned(), "1".to_owned()), ("y".to_owned(), "2".to_owned())]);
    let letters: Vec<String> = world.files().into_iter().filter(|f| f.contains("dead-letter")).collect();
    let [letters] = &letters[..] else { panic!("{letters:?}") };
    let letters = String::from_utf8(world.read(letters)).unwrap();
    assert!(letters.contains("bad") && letters.contains("worse"), "{letters}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_leaves_nothing() {
    let world = World::new();
    world.topics.create("never", 1);
    let spec = json!({
        "input": {"kafka": {"bootstrapServers": "b", "topic": "never", "end": {"records": 1}}},
        "map": {"operator": "Words"},
        "output": {"s3": {"uri": "s3://out"}},
    });
    let job = world.job(spec);
    let cancel = job.cancel.clone();
    let ended = local::run(job, |status| {
        if status.message.starts_with("waiting for records") {
            cancel.cancel();
        }
    });
    assert!(matches!(ended.await, Err(Error::Cancelled)));
    assert_eq!(world.files(), [] as [String; 0]);
}
