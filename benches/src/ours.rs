//! Our own ways to count words.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use tokio_util::sync::CancellationToken;
use tributary_crds::{
    EnginePhase, Input, MapOperator, MapReduceJobSpec, Output, ReduceOperator, S3Connection, S3Input, S3Location,
    S3Output,
};
use tributary_mapreduce::input::MemoryTopics;
use tributary_mapreduce::local::{self, LocalJob};
use tributary_mapreduce::store::{DirStore, Place, StoreError, StoreResolver, Use};
use tributary_mapreduce_core::kernel::{
    BoxError, Chunks, Feed, Framing, MapConfig, MapStep, MapTask, MemoryScratch, OutputOptions, Program, ReduceInput,
    ReduceStep, SegmentIndex, Split, reduce,
};

const PARTITIONS: u32 = 4;
const SPLIT: u64 = 64 << 20;
const CHUNK: usize = 1 << 20;
const MEMORY: usize = 256 << 20;

/// By the kernel alone: map tasks over splits, segments in memory, reduce tasks; `part-` files in a directory.
///
/// # Errors
/// I/O, and what the kernel says.
pub fn count_by_kernel(text: &Path, output: &Path) -> Result<()> {
    let program = Program::compile(&MapStep::Words, Some(ReduceStep::Sum), true)?;
    let size = fs::metadata(text)?.len();
    let splits = (0..size.div_ceil(SPLIT)).map(|i| Split { start: i * SPLIT, end: size.min((i + 1) * SPLIT) });
    let segments = splits.map(|split| map(&program, text, split)).collect::<Result<Vec<_>>>()?;
    fs::create_dir_all(output)?;
    for partition in 0..PARTITIONS {
        let inputs = segments.iter().map(|(segment, index)| {
            let range = index.partitions[partition as usize];
            let bytes = segment.slice(range.offset as usize..(range.offset + range.length) as usize);
            ReduceInput { source: Chunks::from(bytes), range }
        });
        let mut file = BufWriter::new(File::create(output.join(format!("part-r-{partition:05}")))?);
        let mut sink = |chunk: &[u8]| file.write_all(chunk).map_err(BoxError::from);
        reduce(&program, inputs.collect(), &OutputOptions::default(), &mut sink)?;
        file.flush()?;
    }
    Ok(())
}

fn map(program: &Program, text: &Path, split: Split) -> Result<(Bytes, SegmentIndex)> {
    let config = MapConfig { framing: Framing::Lines, partitions: PARTITIONS, memory: MEMORY, skip_bad_records: 0 };
    let mut task = MapTask::new(program, &config, Box::new(MemoryScratch::default()));
    let mut file = File::open(text)?;
    file.seek(SeekFrom::Start(config.framing.read_from(split)))?;
    let mut state = task.begin(&text.display().to_string(), split)?;
    let mut chunk = vec![0; CHUNK];
    while state == Feed::More {
        let length = file.read(&mut chunk)?;
        if length == 0 {
            break;
        }
        state = task.feed(&chunk[..length])?;
    }
    task.end()?;
    let mut segment = Vec::new();
    let output = task.finish(&mut segment)?;
    Ok((segment.into(), output.index))
}

/// Where the job's places are.
struct Directories {
    input: Arc<DirStore>,
    output: Arc<DirStore>,
    workspace: Arc<DirStore>,
}

impl StoreResolver for Directories {
    fn resolve(&self, _: &S3Location, used_as: Use) -> Result<Place, StoreError> {
        let store = match used_as {
            Use::Input => &self.input,
            Use::Output => &self.output,
            Use::Workspace => &self.workspace,
        };
        Ok(Place::new(store.clone(), ""))
    }
}

/// By a job of the engine, one task at once, over directories: the text's own, `output` and a temporary one.
///
/// # Errors
/// I/O, and a job that does not succeed.
pub fn count_by_job(text: &Path, output: &Path) -> Result<()> {
    let workspace = tempfile::tempdir()?;
    std::fs::create_dir_all(output)?;
    let input = text.parent().context("the text has no directory")?;
    let location = |uri: &str| S3Location { uri: uri.to_owned(), connection: S3Connection::default() };
    let spec = MapReduceJobSpec {
        input: Input {
            s3: Some(S3Input { location: location("s3://input"), ..S3Input::default() }),
            ..Input::default()
        },
        map: tributary_crds::MapStep { operator: Some(MapOperator::Words), ..Default::default() },
        reduce: Some(tributary_crds::ReduceStep { operator: Some(ReduceOperator::Sum), ..Default::default() }),
        combine: true,
        partitions: PARTITIONS,
        output: Output {
            s3: Some(S3Output { location: location("s3://output"), ..S3Output::default() }),
            ..Output::default()
        },
        ..MapReduceJobSpec::default()
    };
    let job = LocalJob {
        name: "wordcount".to_owned(),
        uid: "wordcount".to_owned(),
        spec,
        stores: Arc::new(Directories {
            input: Arc::new(DirStore::new(input)),
            output: Arc::new(DirStore::new(output)),
            workspace: Arc::new(DirStore::new(workspace.path())),
        }),
        topics: Arc::new(MemoryTopics::new()),
        threads: NonZeroUsize::MIN,
        cancel: CancellationToken::new(),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let status = runtime.block_on(local::run(job, |_| {}))?;
    ensure!(status.phase == EnginePhase::Succeeded, "the job failed: {} {}", status.reason, status.message);
    Ok(())
}
