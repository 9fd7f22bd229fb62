//! Where an archive lies, and how far it is.
//!
//! A folder holds one archive. While it is made a mark stands there, so that files are written over only where this program began
//! them. The manifest comes last, and under its name only when the database knows of it.

use std::{
    fs::{self, File},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use shared::{Hash, server::auth::KeySet};

use super::{
    files::{FileSum, LineReader, LineWriter, compare, partial, sync_folder},
    manifest::{Manifest, hash_of},
    record::{Chain, Head, Record},
};

const MANIFEST: &str = "manifest.jws";
const MARK: &str = "unfinished";
const HEADS: &str = "heads.jsonl.zst";

pub(super) struct Folder {
    path: PathBuf,
}

/// A manifest as it stands in its file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Signed {
    pub(super) text: String,
    pub(super) hash: Hash,
}

/// How far an archive is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Found {
    Nothing,
    /// Files are written; the manifest may be signed already.
    Begun(Option<Signed>),
    /// All files are there.
    Manifest(Signed),
}

impl Folder {
    pub(super) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    fn place(&self) -> std::path::Display<'_> {
        self.path.display()
    }

    /// # Errors
    /// When something else lies there.
    pub(super) fn look(&self) -> anyhow::Result<Found> {
        let manifest = self.path.join(MANIFEST);
        if let Some(signed) = read(&manifest)? {
            return Ok(Found::Manifest(signed));
        }
        if self.path.join(MARK).exists() {
            return Ok(Found::Begun(read(&partial(&manifest))?));
        }
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
            Err(error) => {
                return Err(error).with_context(|| format!("cannot read {}", self.place()));
            }
        };
        ensure!(
            entries.count() == 0,
            "{} is not empty, and holds no archive: name a folder of its own",
            self.place()
        );
        Ok(Found::Nothing)
    }

    /// The folder is this archive's, and nothing of an attempt before is in it.
    pub(super) fn begin(&self) -> anyhow::Result<()> {
        let context = || format!("cannot write {}", self.place());
        fs::create_dir_all(&self.path).with_context(context)?;
        let mark = File::create(self.path.join(MARK)).with_context(context)?;
        mark.sync_all().with_context(context)?;
        for entry in fs::read_dir(&self.path).with_context(context)? {
            let entry = entry.with_context(context)?;
            if entry.file_name() != MARK {
                fs::remove_file(entry.path()).with_context(context)?;
            }
        }
        sync_folder(&self.path).with_context(context)
    }

    /// There was nothing to archive.
    pub(super) fn give_up(&self) -> anyhow::Result<()> {
        self.begin()?;
        self.end()
    }

    /// The archive is finished.
    pub(super) fn end(&self) -> anyhow::Result<()> {
        match fs::remove_file(self.path.join(MARK)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot write {}", self.place()))
            }
            Ok(()) | Err(_) => Ok(sync_folder(&self.path)?),
        }
    }

    /// The `number`th file of events, from 1 on.
    pub(super) fn events_writer(&self, number: usize) -> anyhow::Result<LineWriter> {
        LineWriter::create(&self.path, &format!("events-{number:04}.jsonl.zst"))
    }

    pub(super) fn heads_writer(&self) -> anyhow::Result<LineWriter> {
        LineWriter::create(&self.path, HEADS)
    }

    /// Writes the signed manifest beside its place, and says by which hash it is known.
    pub(super) fn prepare_manifest(&self, text: &str) -> anyhow::Result<Hash> {
        let path = partial(&self.path.join(MANIFEST));
        let context = || format!("cannot write {}", path.display());
        let mut file = File::create(&path).with_context(context)?;
        file.write_all(text.as_bytes()).with_context(context)?;
        file.sync_all().with_context(context)?;
        sync_folder(&self.path).with_context(context)?;
        Ok(hash_of(text))
    }

    /// The manifest has its name; it may have it already.
    pub(super) fn settle_manifest(&self) -> anyhow::Result<()> {
        let path = self.path.join(MANIFEST);
        if partial(&path).exists() {
            fs::rename(partial(&path), &path)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(sync_folder(&self.path)?)
    }

    pub(super) fn manifest(&self) -> anyhow::Result<Signed> {
        let path = self.path.join(MANIFEST);
        let signed = read(&path)?;
        signed.with_context(|| format!("there is no archive in {}: no {MANIFEST}", self.place()))
    }

    /// The manifest, when it was signed with one of these keys.
    pub(super) fn opened(&self, keys: &KeySet) -> anyhow::Result<(Manifest, Hash)> {
        let signed = self.manifest()?;
        let manifest = Manifest::open(&signed.text, keys)
            .with_context(|| format!("{MANIFEST} in {} is not trusted", self.place()))?;
        Ok((manifest, signed.hash))
    }

    /// Reads all files and compares them with their sums.
    pub(super) fn read_back(&self, manifest: &Manifest) -> anyhow::Result<()> {
        for file in manifest.sums() {
            // A name says where: none leads out of the folder.
            ensure!(
                Path::new(&file.name).components().count() == 1 && !file.name.starts_with('.'),
                "the manifest names {}, which is no file of an archive",
                file.name
            );
            compare(&self.path, file)?;
        }
        Ok(())
    }

    /// The wallets of an archive, in the order of the files.
    pub(super) fn heads(&self, manifest: &Manifest) -> anyhow::Result<LineReader> {
        LineReader::open(self.path.join(&manifest.heads.name))
    }

    /// The wallets with their events.
    pub(super) fn lines(&self, manifest: &Manifest) -> anyhow::Result<Lines> {
        Ok(Lines {
            heads: self.heads(manifest)?,
            folder: self.path.clone(),
            files: manifest.files.clone().into_iter(),
            events: None,
        })
    }
}

/// What a file holds, if it is there.
fn read(path: &Path) -> anyhow::Result<Option<Signed>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(Signed {
            hash: hash_of(&text),
            text,
        })),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// All lines of an archive, wallet by wallet.
pub(super) struct Lines {
    heads: LineReader,
    folder: PathBuf,
    files: std::vec::IntoIter<FileSum>,
    events: Option<LineReader>,
}

/// The lines of one wallet, which are read to the last.
pub(super) struct WalletLines<'lines> {
    pub(super) head: Head,
    chain: Chain,
    lines: &'lines mut Lines,
}

impl Lines {
    /// Nothing after the last wallet. All lines of the one before are read.
    pub(super) fn next_wallet(&mut self) -> anyhow::Result<Option<WalletLines<'_>>> {
        let Some(head) = self.heads.next::<Head>()? else {
            ensure!(
                self.next_line()?.is_none(),
                "the files hold events of wallets that {HEADS} does not name"
            );
            return Ok(None);
        };
        Ok(Some(WalletLines {
            head,
            chain: Chain::of(&head),
            lines: self,
        }))
    }

    fn next_line(&mut self) -> anyhow::Result<Option<Record>> {
        loop {
            if let Some(events) = &mut self.events
                && let Some(record) = events.next()?
            {
                return Ok(Some(record));
            }
            let Some(file) = self.files.next() else {
                return Ok(None);
            };
            self.events = Some(LineReader::open(self.folder.join(file.name))?);
        }
    }
}

impl WalletLines<'_> {
    /// The wallet's next event, which follows on the one before it; nothing after the last.
    pub(super) fn next_record(&mut self) -> anyhow::Result<Option<Record>> {
        let (wallet, at) = (self.head.wallet_id, self.chain.head());
        if at.last >= self.head.last {
            ensure!(
                at == self.head,
                "the events of wallet {wallet} do not lead to where {HEADS} says"
            );
            return Ok(None);
        }
        let Some(record) = self.lines.next_line()? else {
            bail!("the events of wallet {wallet} end with {}", at.last);
        };
        if let Err(why) = self.chain.step(&record) {
            bail!("the events of wallet {wallet} are not what they were: {why}");
        }
        Ok(Some(record))
    }
}
