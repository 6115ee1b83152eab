//! Where records begin and end in an object, and which of them belong to a split.

use std::num::NonZeroU32;

use memchr::{memchr, memrchr};

/// Bytes a record may have at most; also a key or a value.
pub const MAX_RECORD_BYTES: usize = 256 << 20;

/// How records are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// By LF, which is not part of the record (a CR before it is). The last line needs none.
    Lines,
    /// By their length in bytes.
    FixedLength(NonZeroU32),
    /// The object is the record, its key the object's name.
    WholeObject,
}

/// A range of an object's bytes, `start` to `end` exclusive. The records that begin in it are the split's; so any
/// cutting of an object into splits reads every record once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// The first byte.
    pub start: u64,
    /// The byte after the last.
    pub end: u64,
}

impl Split {
    /// All of an object, whatever its length.
    pub const WHOLE: Self = Self { start: 0, end: u64::MAX };
}

/// Whether a split needs more bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// It does, if the object has more.
    More,
    /// All its records are complete.
    Done,
}

impl Framing {
    /// The byte of the object from which a split must be fed. One before the split's start for lines: if it is a LF,
    /// the split's first line begins at its start.
    pub fn read_from(self, split: Split) -> u64 {
        match self {
            Self::Lines => split.start.saturating_sub(1),
            Self::FixedLength(length) => {
                split.start.checked_next_multiple_of(u64::from(length.get())).unwrap_or(u64::MAX)
            }
            Self::WholeObject => split.start,
        }
    }
}

/// Why a split's bytes are not records.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// A record that begins at this byte is over the limit.
    TooLarge(u64),
    /// The object ends within a fixed-length record: its first byte, and how many bytes of it there are.
    Truncated(u64, usize),
}

/// Whole records back to back, as they stand in the object, and the offset of the first. The last line may lack its LF.
pub(crate) struct Slab<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) offset: u64,
}

/// Cuts the chunks of one split into slabs.
#[derive(Debug)]
pub(crate) struct Framer {
    framing: Framing,
    /// Offset of the next byte fed.
    at: u64,
    end: u64,
    /// The bytes up to the first LF belong to the split before.
    skipping: bool,
    done: bool,
    /// The first part of a record that ends in a later chunk.
    carry: Vec<u8>,
    carry_at: u64,
}

impl Framer {
    /// `carry` is a buffer to use again.
    pub(crate) fn new(framing: Framing, split: Split, mut carry: Vec<u8>) -> Self {
        carry.clear();
        let at = framing.read_from(split);
        let skipping = framing == Framing::Lines && split.start > 0;
        let others = framing == Framing::WholeObject && split.start > 0;
        let done = split.start >= split.end || (at >= split.end && !skipping) || others;
        Self { framing, at, end: split.end, skipping, done, carry, carry_at: 0 }
    }

    pub(crate) fn state(&self) -> Feed {
        if self.done { Feed::Done } else { Feed::More }
    }

    pub(crate) fn into_carry(self) -> Vec<u8> {
        self.carry
    }

    /// Takes a chunk and gives the records that it completes.
    pub(crate) fn feed<E: From<FrameError>>(
        &mut self,
        chunk: &[u8],
        slab: &mut dyn FnMut(Slab<'_>) -> Result<(), E>,
    ) -> Result<Feed, E> {
        if self.done || chunk.is_empty() {
            return Ok(self.state());
        }
        match self.framing {
            Framing::Lines => self.feed_lines(chunk, slab)?,
            Framing::FixedLength(length) => self.feed_fixed(chunk, length.get() as usize, slab)?,
            Framing::WholeObject => self.keep(chunk)?,
        }
        Ok(self.state())
    }

    /// The object has no more bytes.
    pub(crate) fn end<E: From<FrameError>>(
        &mut self,
        slab: &mut dyn FnMut(Slab<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.done {
            return Ok(());
        }
        self.done = true;
        match self.framing {
            Framing::FixedLength(_) if !self.carry.is_empty() => {
                Err(FrameError::Truncated(self.carry_at, self.carry.len()).into())
            }
            Framing::WholeObject => slab(Slab { bytes: &self.carry, offset: 0 }),
            _ if !self.carry.is_empty() => slab(Slab { bytes: &self.carry, offset: self.carry_at }),
            _ => Ok(()),
        }
    }

    fn feed_lines<E: From<FrameError>>(
        &mut self,
        chunk: &[u8],
        slab: &mut dyn FnMut(Slab<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = chunk;
        if self.skipping {
            let Some(lf) = memchr(b'\n', rest) else {
                self.at += rest.len() as u64;
                return Ok(());
            };
            self.skipping = false;
            rest = self.advance(rest, lf + 1);
        } else if !self.carry.is_empty() {
            let Some(lf) = memchr(b'\n', rest) else { return self.keep(rest).map_err(E::from) };
            self.carry.extend_from_slice(&rest[..=lf]);
            slab(Slab { bytes: &self.carry, offset: self.carry_at })?;
            self.carry.clear();
            rest = self.advance(rest, lf + 1);
        }
        if self.at >= self.end {
            self.done = true;
            return Ok(());
        }
        // The LF at or after the split's last byte ends its last line.
        let ours = usize::try_from(self.end - self.at).unwrap_or(usize::MAX);
        let last = rest.get(ours - 1..).and_then(|tail| memchr(b'\n', tail)).map(|lf| ours - 1 + lf);
        if let Some(lf) = last.or_else(|| memrchr(b'\n', rest)) {
            slab(Slab { bytes: &rest[..=lf], offset: self.at })?;
            rest = self.advance(rest, lf + 1);
        }
        if last.is_some() {
            self.done = true;
            return Ok(());
        }
        self.keep(rest).map_err(E::from)
    }

    fn feed_fixed<E: From<FrameError>>(
        &mut self,
        chunk: &[u8],
        length: usize,
        slab: &mut dyn FnMut(Slab<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = chunk;
        if !self.carry.is_empty() {
            let missing = length - self.carry.len();
            let Some(head) = rest.get(..missing) else { return self.keep(rest).map_err(E::from) };
            self.carry.extend_from_slice(head);
            slab(Slab { bytes: &self.carry, offset: self.carry_at })?;
            self.carry.clear();
            rest = self.advance(rest, missing);
        }
        if self.at < self.end {
            // Records that begin before the end, of those that are complete.
            let ours = usize::try_from((self.end - self.at).div_ceil(length as u64)).unwrap_or(usize::MAX);
            let bytes = ours.min(rest.len() / length) * length;
            if bytes > 0 {
                slab(Slab { bytes: &rest[..bytes], offset: self.at })?;
                rest = self.advance(rest, bytes);
            }
        }
        if self.at >= self.end {
            self.done = true;
            return Ok(());
        }
        self.keep(rest).map_err(E::from)
    }

    fn advance<'a>(&mut self, rest: &'a [u8], by: usize) -> &'a [u8] {
        self.at += by as u64;
        &rest[by..]
    }

    fn keep(&mut self, rest: &[u8]) -> Result<(), FrameError> {
        if self.carry.is_empty() {
            self.carry_at = self.at;
        }
        if self.carry.len() + rest.len() > MAX_RECORD_BYTES {
            return Err(FrameError::TooLarge(self.carry_at));
        }
        self.carry.extend_from_slice(rest);
        self.at += rest.len() as u64;
        Ok(())
    }
}
