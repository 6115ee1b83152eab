//! Runs the kernel as a job does: map tasks over splits, segments, reduce tasks.

use bytes::Bytes;
use tributary_mapreduce_core::kernel::{
    Chunks, Feed, Framing, MapConfig, MapOutput, MapTask, MemoryScratch, OutputFormat, OutputOptions, Program,
    ReduceInput, ReduceOutput, SegmentIndex, Split, reduce,
};

/// A job over one object.
#[derive(Clone)]
pub struct Job<'a> {
    pub program: Program,
    pub framing: Framing,
    pub object: &'a [u8],
    /// Where splits begin, besides 0; taken modulo the size.
    pub cuts: Vec<u64>,
    /// Bytes fed at once.
    pub chunk: usize,
    pub partitions: u32,
    pub memory: usize,
    pub skip_bad_records: u64,
}

impl<'a> Job<'a> {
    pub fn new(program: Program, object: &'a [u8]) -> Self {
        let (framing, cuts) = (Framing::Lines, Vec::new());
        Self { program, framing, object, cuts, chunk: 1000, partitions: 1, memory: 1 << 20, skip_bad_records: 0 }
    }

    pub fn map(&self) -> Vec<Mapped> {
        let size = self.object.len() as u64;
        let mut bounds: Vec<u64> = self.cuts.iter().map(|c| c % (size + 1)).chain([0, size]).collect();
        bounds.sort_unstable();
        bounds.windows(2).map(|w| self.map_split(Split { start: w[0], end: w[1] })).collect()
    }

    pub fn task(&self) -> MapTask {
        let config = MapConfig {
            framing: self.framing,
            partitions: self.program.partitions(self.partitions),
            memory: self.memory,
            skip_bad_records: self.skip_bad_records,
        };
        MapTask::new(&self.program, &config, Box::new(MemoryScratch::default()))
    }

    fn map_split(&self, split: Split) -> Mapped {
        let mut task = self.task();
        let mut state = task.begin("object", split).unwrap();
        let start = (self.framing.read_from(split) as usize).min(self.object.len());
        for chunk in self.object[start..].chunks(self.chunk) {
            if state == Feed::Done {
                break;
            }
            state = task.feed(chunk).unwrap();
        }
        task.end().unwrap();
        Mapped::of(task)
    }

    pub fn reduce(&self, maps: &[Mapped], options: &OutputOptions) -> Vec<(Vec<u8>, ReduceOutput)> {
        let partitions = self.program.partitions(self.partitions);
        let of_partition = |p| {
            let inputs = maps.iter().map(|map| map.input(p, partitions)).collect();
            let mut out = Vec::new();
            let output = reduce(&self.program, inputs, options, &mut out).unwrap();
            assert_eq!(output.bytes_written, out.len() as u64);
            (out, output)
        };
        (0..partitions).map(of_partition).collect()
    }

    /// The output of each partition.
    pub fn run(&self) -> Vec<Vec<u8>> {
        let options = OutputOptions { format: OutputFormat::Lines, first_rows: 0 };
        self.reduce(&self.map(), &options).into_iter().map(|(out, _)| out).collect()
    }
}

/// What a map task gave.
pub struct Mapped {
    pub segment: Vec<u8>,
    pub output: MapOutput,
}

impl Mapped {
    pub fn of(task: MapTask) -> Self {
        let mut segment = Vec::new();
        let output = task.finish(&mut segment).unwrap();
        assert_eq!(output.index.segment_len(), segment.len() as u64);
        Self { segment, output }
    }

    /// The partition's range, found by the segment's own index.
    pub fn input(&self, partition: u32, partitions: u32) -> ReduceInput<Chunks> {
        let tail = &self.segment[self.segment.len() - SegmentIndex::tail_len(partitions) as usize..];
        let index = SegmentIndex::decode(tail, partitions, self.segment.len() as u64).unwrap();
        assert_eq!(index, self.output.index);
        let range = index.partitions[partition as usize];
        let bytes = &self.segment[range.offset as usize..][..range.length as usize];
        ReduceInput { source: Chunks(bytes.chunks(777).map(Bytes::copy_from_slice).collect()), range }
    }
}
