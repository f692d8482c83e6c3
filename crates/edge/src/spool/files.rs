//! Segment files and the cursor: append, read from the cursor, forget what was delivered.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::SpoolConfig;

const CURSOR: &str = "delivered";
const SUFFIX: &str = ".events";

/// The files of one spool.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
    max_bytes: u64,
    segment_bytes: u64,
    segments: VecDeque<Segment>,
    cursor: Cursor,
    current: Option<File>,
}

/// One file; the last one is appended to.
#[derive(Debug, Clone, Copy)]
struct Segment {
    number: u64,
    bytes: u64,
}

/// The first byte that control does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    number: u64,
    offset: u64,
}

/// Lines read from the spool, and where reading goes on once they are delivered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) lines: Vec<Vec<u8>>,
    pub(super) after: Vec<Cursor>,
}

impl Files {
    pub(super) fn open(config: &SpoolConfig) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&config.directory)?;
        let mut numbers = Vec::new();
        for entry in fs::read_dir(&config.directory)? {
            let name = entry?.file_name();
            let stem = name.to_str().and_then(|name| name.strip_suffix(SUFFIX));
            numbers.extend(stem.and_then(|stem| u64::from_str_radix(stem, 16).ok()));
        }
        numbers.sort_unstable();
        let mut files = Self {
            directory: config.directory.clone(),
            max_bytes: config.max_bytes,
            segment_bytes: config.segment_bytes,
            segments: VecDeque::new(),
            cursor: Cursor {
                number: 0,
                offset: 0,
            },
            current: None,
        };
        for number in numbers {
            let bytes = cut_torn_line(&files.path(number))?;
            files.segments.push_back(Segment { number, bytes });
        }
        files.cursor = files.read_cursor();
        files.forget_delivered();
        // Fails now, not at the first event, when the directory cannot be written.
        files.begin_segment()?;
        Ok(files)
    }

    pub(super) fn waiting_bytes(&self) -> u64 {
        let unread = |segment: &Segment| match segment.number.cmp(&self.cursor.number) {
            std::cmp::Ordering::Less => 0,
            std::cmp::Ordering::Equal => segment.bytes.saturating_sub(self.cursor.offset),
            std::cmp::Ordering::Greater => segment.bytes,
        };
        self.segments.iter().map(unread).sum()
    }

    /// Begins a new segment when control has all of the last one, which frees its space.
    pub(super) fn recycle(&mut self) -> io::Result<()> {
        let is_done = |last: &Segment| {
            last.bytes > 0 && last.number == self.cursor.number && last.bytes <= self.cursor.offset
        };
        if self.segments.back().is_some_and(is_done) {
            self.begin_segment()?;
        }
        Ok(())
    }

    /// Whether so many more bytes fit into the budget.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        let stored: u64 = self.segments.iter().map(|segment| segment.bytes).sum();
        stored.saturating_add(bytes) <= self.max_bytes
    }

    /// Appends whole lines and syncs them. After an error nothing of them counts as stored.
    pub(super) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let is_full = self
            .segments
            .back()
            .is_some_and(|last| last.bytes >= self.segment_bytes);
        if is_full || self.current.is_none() {
            self.begin_segment()?;
        }
        let (Some(file), Some(last)) = (&mut self.current, self.segments.back_mut()) else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let written = file.write_all(lines).and_then(|()| file.sync_data());
        if written.is_err() {
            // A half-written line must not join the next one.
            file.set_len(last.bytes)?;
            file.seek(SeekFrom::Start(last.bytes))?;
        } else {
            last.bytes += lines.len() as u64;
        }
        written
    }

    /// The next lines that control does not have, whole ones only.
    pub(super) fn read(&self, max_lines: usize, max_bytes: u64) -> io::Result<Batch> {
        let mut batch = Batch {
            lines: Vec::new(),
            after: Vec::new(),
        };
        for segment in &self.segments {
            let start = match segment.number.cmp(&self.cursor.number) {
                std::cmp::Ordering::Less => continue,
                std::cmp::Ordering::Equal => self.cursor.offset,
                std::cmp::Ordering::Greater => 0,
            };
            let wanted = segment.bytes.saturating_sub(start).min(max_bytes);
            if wanted == 0 {
                continue;
            }
            let mut file = File::open(self.path(segment.number))?;
            file.seek(SeekFrom::Start(start))?;
            let mut text = Vec::new();
            file.take(wanted).read_to_end(&mut text)?;
            let mut offset = start;
            for line in text.split_inclusive(|byte| *byte == b'\n').take(max_lines) {
                let Some(whole) = line.strip_suffix(b"\n") else {
                    break;
                };
                offset += line.len() as u64;
                batch.lines.push(whole.to_vec());
                batch.after.push(Cursor {
                    number: segment.number,
                    offset,
                });
            }
            break;
        }
        Ok(batch)
    }

    /// Remembers that control has everything before `cursor`.
    pub(super) fn delivered(&mut self, cursor: Cursor) -> io::Result<()> {
        self.cursor = cursor;
        self.forget_delivered();
        // Without a sync: a cursor that a crash sets back costs a repetition.
        let temporary = self.directory.join("delivered.new");
        let text = format!("{:016x} {}\n", cursor.number, cursor.offset);
        fs::write(&temporary, text)?;
        fs::rename(&temporary, self.directory.join(CURSOR))
    }

    /// Deletes segments that control has, except the one that is appended to.
    fn forget_delivered(&mut self) {
        while self.segments.len() > 1 {
            let Some(first) = self.segments.front() else {
                break;
            };
            let is_done = first.number < self.cursor.number
                || (first.number == self.cursor.number && first.bytes <= self.cursor.offset);
            if !is_done {
                break;
            }
            if let Err(error) = fs::remove_file(self.path(first.number)) {
                tracing::warn!(%error, "cannot delete a delivered part of the event spool");
            }
            self.segments.pop_front();
        }
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        let next = self
            .segments
            .back()
            .map_or(self.cursor.number, |last| last.number)
            + 1;
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(self.path(next))?;
        // The new name itself has to survive a crash, too.
        File::open(&self.directory)?.sync_all()?;
        self.current = Some(file);
        self.segments.push_back(Segment {
            number: next,
            bytes: 0,
        });
        self.forget_delivered();
        Ok(())
    }

    /// The stored cursor, or the very beginning: then events are repeated, never lost.
    fn read_cursor(&self) -> Cursor {
        let text = fs::read_to_string(self.directory.join(CURSOR)).unwrap_or_default();
        let parsed = text
            .trim_end()
            .split_once(' ')
            .and_then(|(number, offset)| {
                let number = u64::from_str_radix(number, 16).ok()?;
                Some(Cursor {
                    number,
                    offset: offset.parse().ok()?,
                })
            });
        parsed.unwrap_or(Cursor {
            number: 0,
            offset: 0,
        })
    }

    fn path(&self, number: u64) -> PathBuf {
        self.directory.join(format!("{number:016x}{SUFFIX}"))
    }
}

/// Removes what follows the last line end; gives the length that is left.
fn cut_torn_line(path: &Path) -> io::Result<u64> {
    let text = fs::read(path)?;
    let whole = text
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    if whole < text.len() {
        OpenOptions::new()
            .write(true)
            .open(path)?
            .set_len(whole as u64)?;
    }
    Ok(whole as u64)
}
