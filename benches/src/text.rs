//! Text to count words in: the same on every machine for the same size and vocabulary.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What text to generate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// Bytes, in units of 10^6.
    pub megabytes: u64,
    /// Distinct words to draw from; their frequencies follow Zipf's law with exponent 1.
    pub words: usize,
}

/// Bump when the same arguments give other text.
const VERSION: u32 = 1;

impl Text {
    /// The file with the text, alone in a directory below `cache`; generated if it is not there.
    ///
    /// # Errors
    /// I/O.
    pub fn cached(self, cache: &Path) -> io::Result<PathBuf> {
        let name = format!("zipf-v{VERSION}-{}mb-{}w", self.megabytes, self.words);
        let path = cache.join(&name).join("text.txt");
        if path.exists() {
            return Ok(path);
        }
        std::fs::create_dir_all(cache.join(&name))?;
        let part = cache.join(format!("{name}.{}.part", std::process::id()));
        self.write(BufWriter::with_capacity(1 << 20, File::create(&part)?))?;
        std::fs::rename(&part, &path)?;
        Ok(path)
    }

    /// Writes the text: lines of 1 to 20 words, one blank between words.
    ///
    /// # Errors
    /// The writer's.
    pub fn write(self, mut out: impl Write) -> io::Result<()> {
        let mut random = SplitMix64(0x7472_6962);
        let vocabulary = vocabulary(self.words.max(1), &mut random);
        let zipf = Zipf::new(vocabulary.len());
        let (mut left, size) = (0usize, self.megabytes * 1_000_000);
        let mut written = 0;
        while written < size {
            let word = &vocabulary[zipf.rank(random.unit())];
            let delimiter = if left == 0 { b"\n" } else { b" " };
            left = left.checked_sub(1).unwrap_or_else(|| random.below(20));
            out.write_all(word)?;
            out.write_all(delimiter)?;
            written += word.len() as u64 + 1;
        }
        out.flush()
    }
}

/// Steele, Lea and Flood's generator (OOPSLA 2014).
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// In 0 to 1, 1 exclusive.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Draws ranks by Zipf's law: a table of cumulated weights, with the start of the search by the draw's leading bits.
struct Zipf {
    cumulated: Vec<f64>,
    starts: Vec<u32>,
}

const BUCKETS: usize = 1 << 16;

impl Zipf {
    fn new(words: usize) -> Self {
        let total: f64 = (1..=words).map(|rank| 1.0 / rank as f64).sum();
        let mut sum = 0.0;
        let cumulated: Vec<f64> = (1..=words)
            .map(|rank| {
                sum += 1.0 / (rank as f64 * total);
                sum
            })
            .collect();
        let start = |bucket: usize| cumulated.partition_point(|&c| c <= bucket as f64 / BUCKETS as f64) as u32;
        let starts = (0..BUCKETS).map(start).collect();
        Self { cumulated, starts }
    }

    fn rank(&self, draw: f64) -> usize {
        let start = self.starts[(draw * BUCKETS as f64) as usize] as usize;
        let past = self.cumulated[start..].iter().position(|&c| c > draw);
        past.map_or(self.cumulated.len() - 1, |offset| start + offset)
    }
}

/// Distinct words of lower-case letters, the frequent ones shorter: about 4.5 letters in running text, as in English.
fn vocabulary(words: usize, random: &mut SplitMix64) -> Vec<Vec<u8>> {
    const CONSONANTS: &[u8] = b"tnshrdlcmfpgwybvk";
    const VOWELS: &[u8] = b"eaoiu";
    let mut seen = std::collections::HashSet::new();
    let mut vocabulary = Vec::with_capacity(words);
    while vocabulary.len() < words {
        // A rank ten times as high has about 1.4 letters more.
        let mean = 2.0 + 1.4 * ((vocabulary.len() + 1) as f64).log10();
        let length = (mean + (random.unit() + random.unit() + random.unit() - 1.5) * 0.8 * mean).round().max(1.0);
        let mut vowel = random.below(2) == 0;
        let letters = (0..length as usize).map(|_| {
            vowel = if random.below(5) == 0 { vowel } else { !vowel };
            let of = if vowel { VOWELS } else { CONSONANTS };
            of[random.below(of.len())]
        });
        let word: Vec<u8> = letters.collect();
        if seen.insert(word.clone()) {
            vocabulary.push(word);
        }
    }
    vocabulary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_the_same_everywhere() {
        let mut text = Vec::new();
        Text { megabytes: 1, words: 5_000 }.write(&mut text).ok();
        assert!((1_000_000..1_000_100).contains(&text.len()));
        let words: Vec<&[u8]> = text.split(|b| b.is_ascii_whitespace()).filter(|w| !w.is_empty()).collect();
        let distinct = words.iter().collect::<std::collections::HashSet<_>>().len();
        assert!((4_500..=5_000).contains(&distinct), "{distinct}");
        let mean = (text.len() - words.len()) as f64 / words.len() as f64;
        assert!((3.5..5.5).contains(&mean), "{mean}");
    }
}
