//! Lines in compressed files: written beside their place and put there whole, read with the sum of what is read.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};
use shared::Hash;

/// Of zstd: half of what the slowest levels gain, at the speed of a disk.
const LEVEL: i32 = 6;
const BUFFER_BYTES: usize = 1 << 20;

/// A file as the manifest names it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FileSum {
    pub(super) name: String,
    pub(super) lines: u64,
    pub(super) bytes: u64,
    pub(super) sha256: Hash,
}

/// Counts and sums up what passes.
struct Summed<Inner> {
    inner: Inner,
    digest: Sha256,
    bytes: u64,
}

impl<Inner> Summed<Inner> {
    fn new(inner: Inner) -> Self {
        Self {
            inner,
            digest: Sha256::new(),
            bytes: 0,
        }
    }

    fn passed(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    fn sum(&self) -> Hash {
        Hash::from_bytes(self.digest.clone().finalize().into())
    }
}

impl<Inner: Write> Write for Summed<Inner> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.passed(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<Inner: Read> Read for Summed<Inner> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.passed(&buffer[..read]);
        Ok(read)
    }
}

/// Where a file is until it is whole.
pub(super) fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

/// What was renamed or made in a folder is there after a power cut as well.
pub(super) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// A file that is written.
pub(super) struct LineWriter {
    path: PathBuf,
    encoder: zstd::Encoder<'static, Summed<BufWriter<File>>>,
    lines: u64,
}

impl LineWriter {
    pub(super) fn create(folder: &Path, name: &str) -> anyhow::Result<Self> {
        let path = folder.join(name);
        let file = File::create(partial(&path));
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        let summed = Summed::new(BufWriter::with_capacity(BUFFER_BYTES, file));
        Ok(Self {
            encoder: zstd::Encoder::new(summed, LEVEL)?,
            path,
            lines: 0,
        })
    }

    pub(super) const fn lines(&self) -> u64 {
        self.lines
    }

    pub(super) fn write(&mut self, line: &impl Serialize) -> anyhow::Result<()> {
        let context = || format!("cannot write {}", self.path.display());
        serde_json::to_writer(&mut self.encoder, line).with_context(context)?;
        self.encoder.write_all(b"\n").with_context(context)?;
        self.lines += 1;
        Ok(())
    }

    /// The file is whole, on the disk, and in its place.
    pub(super) fn finish(self) -> anyhow::Result<FileSum> {
        let Self {
            path,
            encoder,
            lines,
        } = self;
        let context = || format!("cannot write {}", path.display());
        let mut summed = encoder.finish().with_context(context)?;
        summed.flush().with_context(context)?;
        summed.inner.get_ref().sync_all().with_context(context)?;
        fs::rename(partial(&path), &path).with_context(context)?;
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned());
        Ok(FileSum {
            name: name.unwrap_or_default(),
            lines,
            bytes: summed.bytes,
            sha256: summed.sum(),
        })
    }
}

/// A file that is read, line by line.
pub(super) struct LineReader {
    path: PathBuf,
    lines: BufReader<zstd::Decoder<'static, BufReader<File>>>,
    text: String,
    number: u64,
}

impl LineReader {
    pub(super) fn open(path: PathBuf) -> anyhow::Result<Self> {
        let file = File::open(&path);
        let file = file.with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self {
            lines: BufReader::with_capacity(BUFFER_BYTES, zstd::Decoder::new(file)?),
            path,
            text: String::new(),
            number: 0,
        })
    }

    /// Nothing after the last line.
    pub(super) fn next<Line: DeserializeOwned>(&mut self) -> anyhow::Result<Option<Line>> {
        self.text.clear();
        self.number += 1;
        let context = || {
            format!(
                "cannot read line {} of {}",
                self.number,
                self.path.display()
            )
        };
        let read = self.lines.read_line(&mut self.text).with_context(context)?;
        if read == 0 {
            return Ok(None);
        }
        serde_json::from_str(&self.text)
            .with_context(context)
            .map(Some)
    }
}

/// Reads a file and compares it with its sum: bytes, lines, and that all of it can be decompressed.
///
/// # Errors
/// When it is not there, or not as it was written.
pub(super) fn compare(folder: &Path, wanted: &FileSum) -> anyhow::Result<()> {
    let path = folder.join(&wanted.name);
    let context = || format!("cannot read {}", path.display());
    let file = File::open(&path).with_context(context)?;
    let mut summed = Summed::new(BufReader::with_capacity(BUFFER_BYTES, file));
    let lines = count_lines(&mut summed);
    // What stands behind the compressed lines is of the file as well.
    io::copy(&mut summed, &mut io::sink()).with_context(context)?;
    ensure!(
        summed.bytes == wanted.bytes && summed.sum() == wanted.sha256,
        "{} is not as it was signed: it has {} bytes with the sum {}, and not {} with {}",
        path.display(),
        summed.bytes,
        summed.sum(),
        wanted.bytes,
        wanted.sha256
    );
    let lines = lines.with_context(context)?;
    ensure!(
        lines == wanted.lines,
        "{} has {lines} lines, and not {}",
        path.display(),
        wanted.lines
    );
    Ok(())
}

fn count_lines(compressed: impl Read) -> io::Result<u64> {
    let mut decoder = zstd::Decoder::new(compressed)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut lines = 0;
    loop {
        let read = decoder.read(&mut buffer)?;
        if read == 0 {
            return Ok(lines);
        }
        let ends = buffer[..read].iter().filter(|byte| **byte == b'\n');
        lines += ends.count() as u64;
    }
}
