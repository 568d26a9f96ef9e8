//! [`Shard`]: one safetensors file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::TensorInfo;
use super::header::{self, Header, PREFIX};
use crate::checkpoint::damage::Damage;
use crate::checkpoint::io::{Positional, failed};
use crate::error::{CheckpointError, Error, Result};

/// What a packed file begins with. A safetensors file that began like this would have a header of 10^17 bytes, which no
/// reader accepts: nothing takes a packed file for a model.
pub(in crate::checkpoint) const MAGIC: [u8; PREFIX as usize] = *b"\x89SECATP\n";

/// One safetensors file of a checkpoint, or a packed one, open, its header checked.
#[derive(Debug)]
pub struct Shard {
    path: PathBuf,
    file: Positional,
    pub(in crate::checkpoint) header: Header,
    /// Where the length of the header stands: after the [`MAGIC`] of a packed file.
    start: u64,
    /// Where the data begins: after the header.
    pub(in crate::checkpoint) data: u64,
    len: u64,
    modified: Option<SystemTime>,
}

impl Shard {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let io = |error| failed("read", path)(error);
        let damaged = |damage| {
            Error::Checkpoint(CheckpointError::Damaged {
                path: path.to_owned(),
                damage: Box::new(damage),
            })
        };
        // Before it is opened: opening a pipe would wait for its other end.
        if !fs::metadata(path).map_err(io)?.is_file() {
            return Err(Error::Checkpoint(CheckpointError::NotCheckpoint {
                path: path.to_owned(),
                reason: "it is not a regular file".into(),
            }));
        }
        let file = Positional::open(path).map_err(io)?;
        let metadata = file.file().and_then(|file| file.metadata()).map_err(io)?;
        let len = metadata.len();
        if len < PREFIX {
            return Err(damaged(Damage::TooShort { len }));
        }
        let mut prefix = [0; PREFIX as usize];
        file.read_exact_at(&mut prefix, 0).map_err(io)?;
        let mut start = 0;
        if prefix == MAGIC {
            start = PREFIX;
            if len < start + PREFIX {
                return Err(damaged(Damage::TooShort { len }));
            }
            file.read_exact_at(&mut prefix, start).map_err(io)?;
        }
        if let Some(reason) = foreign(&prefix) {
            return Err(Error::Checkpoint(CheckpointError::NotCheckpoint {
                path: path.to_owned(),
                reason,
            }));
        }
        let header_len = header::length(prefix, len - start).map_err(damaged)?;
        // Allocates no more than the file holds, and at most the limit.
        let mut json = vec![0; header_len as usize];
        file.read_exact_at(&mut json, start + PREFIX).map_err(io)?;
        let data = start + PREFIX + header_len;
        Ok(Shard {
            path: path.to_owned(),
            header: Header::parse(&json, len - data).map_err(damaged)?,
            file,
            start,
            data,
            len,
            modified: metadata.modified().ok(),
        })
    }

    /// The tensors of the file, which has this number in its checkpoint, in the order of their bytes.
    pub(crate) fn tensors(&self, number: usize) -> impl Iterator<Item = TensorInfo> {
        self.header.entries.iter().map(move |entry| TensorInfo {
            name: entry.name.clone(),
            dtype: entry.dtype,
            shape: entry.shape.clone(),
            shard: number,
            begin: self.data + entry.begin,
            bytes: entry.end - entry.begin,
        })
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The name of the file without its folder.
    pub fn file_name(&self) -> &str {
        self.path.file_name().and_then(|name| name.to_str()).unwrap_or("")
    }

    /// Length of the file in bytes, its header included.
    pub fn bytes(&self) -> u64 {
        self.len
    }

    /// The free text in the file's header, such as `format` = `pt`.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.header.metadata
    }

    /// Whether the file is a container of packed tensors, which no other program reads.
    pub(in crate::checkpoint) fn is_container(&self) -> bool {
        self.start > 0
    }

    /// The header as it stands in the file, with the field of its length.
    pub(in crate::checkpoint) fn header_bytes(&self) -> Result<Vec<u8>> {
        let mut bytes = vec![0; (self.data - self.start) as usize];
        self.read_at(&mut bytes, self.start)?;
        Ok(bytes)
    }

    /// The JSON of the header, as it stands in the file.
    pub(in crate::checkpoint) fn header_text(&self) -> Result<String> {
        let text = self.header_bytes()?.split_off(PREFIX as usize);
        // It was valid JSON when the file was opened, and so valid UTF-8.
        String::from_utf8(text).map_err(|_| {
            Error::Checkpoint(CheckpointError::ChangedMeanwhile {
                path: self.path.clone(),
            })
        })
    }

    /// Fills `buffer` from a position of the file.
    pub(crate) fn read_at(&self, buffer: &mut [u8], position: u64) -> Result<()> {
        self.file
            .read_exact_at(buffer, position)
            .map_err(|source| match source.kind() {
                // It was long enough when it was opened.
                std::io::ErrorKind::UnexpectedEof => Error::Checkpoint(CheckpointError::ChangedMeanwhile {
                    path: self.path.clone(),
                }),
                _ => failed("read", &self.path)(source),
            })
    }

    /// An error where the file is no longer what it was when it was opened.
    pub(in crate::checkpoint) fn check_unchanged(&self) -> Result<()> {
        let now = self.file.file().and_then(|file| file.metadata());
        let now = now.map_err(failed("read", &self.path))?;
        if now.len() == self.len && now.modified().ok() == self.modified {
            return Ok(());
        }
        Err(Error::Checkpoint(CheckpointError::ChangedMeanwhile {
            path: self.path.clone(),
        }))
    }
}

/// What to do with a file that another program's magic bytes begin.
fn foreign(prefix: &[u8]) -> Option<String> {
    if prefix == b"version " {
        return Some(
            "it is probably a Git-LFS pointer, which names the file but does not hold it; \
             get the file itself first: git lfs pull"
                .to_owned(),
        );
    }
    if prefix.starts_with(b"GGUF") {
        return Some(
            "it is a GGUF file; prune the safetensors version of the model, and convert that".to_owned(),
        );
    }
    let zip = prefix.starts_with(b"PK\x03\x04");
    // Protocols 2 to 5 of pickle; the header of a safetensors file is never so long.
    let pickle = prefix[0] == 0x80 && (2..=5).contains(&prefix[1]) && prefix[7] != 0;
    (zip || pickle).then(|| pytorch_advice().to_owned())
}

/// What to do with a file that PyTorch pickled.
pub(in crate::checkpoint) fn pytorch_advice() -> &'static str {
    "it is a file of PyTorch's own format; save it as safetensors first, in Python: \
     `safetensors.torch.save_file(torch.load(\"model.bin\", weights_only=True), \"model.safetensors\")`"
}
