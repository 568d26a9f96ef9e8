//! [`Checkpoint`]: finding and opening the files of a checkpoint.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::format::{Shard, TensorInfo, index, pytorch_advice};
use super::io::{failed, parent};
use super::listing;
use super::stream::Progress;
use super::stream::workers::Work;
use crate::error::{CheckpointError, Error, Result};

/// A checkpoint: one safetensors file, or a folder of several with an index.
///
/// Opening reads the headers and checks them against the files; tensors stay on disk.
///
/// ```
/// use secateurs::checkpoint::{Checkpoint, Dtype};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("model.safetensors");
/// # let weight = safetensors::tensor::TensorView::new(Dtype::BF16, vec![2, 3], &[0; 12]).unwrap();
/// # safetensors::serialize_to_file([("fc.weight", weight)], None, &path).unwrap();
/// let checkpoint = Checkpoint::open(&path)?;
/// let weight = checkpoint.tensor("fc.weight")?;
/// assert_eq!((weight.dtype(), weight.shape(), weight.entries()), (Dtype::BF16, &[2, 3][..], 6));
/// # Ok::<(), secateurs::Error>(())
/// ```
#[derive(Debug)]
pub struct Checkpoint {
    /// The file, or the folder.
    root: PathBuf,
    folder: bool,
    /// The index, if the shards were found by one.
    pub(super) index: Option<PathBuf>,
    shards: Vec<Shard>,
    tensors: Vec<TensorInfo>,
    pub(super) work: Work,
}

impl Checkpoint {
    /// Opens a `.safetensors` file, an index (`model.safetensors.index.json`), or a folder that holds either.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::NotCheckpoint`](crate::error::CheckpointError::NotCheckpoint) where the path leads to something else, and says what to do;
    /// [`CheckpointError::Damaged`](crate::error::CheckpointError::Damaged) where a file does not hold what it claims: a truncated file, a header that lies, overlapping
    /// or duplicate tensors, a missing shard, an index that names a wrong shard;
    /// [`Error::Io`] where a file cannot be read.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let metadata = fs::metadata(path).map_err(failed("read", path))?;
        let (root, folder, main) = if metadata.is_dir() {
            (path.to_owned(), true, main_file(path)?)
        } else if is_index(path) {
            (parent(path).to_owned(), true, path.to_owned())
        } else if is_pytorch(path) {
            return Err(not_checkpoint(path, pytorch_advice()));
        } else {
            (path.to_owned(), false, path.to_owned())
        };
        let (index, shards) = if folder && is_index(&main) {
            let shards = index::open(&main)?;
            (Some(main), shards)
        } else {
            (None, vec![Shard::open(&main)?])
        };
        let mut tensors = Vec::new();
        for (number, shard) in shards.iter().enumerate() {
            tensors.extend(shard.tensors(number));
        }
        tensors.sort_by(|a: &TensorInfo, b| a.name().cmp(b.name()));
        Ok(Checkpoint {
            root,
            folder,
            index,
            shards,
            tensors,
            work: Work::default(),
        })
    }

    /// The file, or the folder of a checkpoint that is one.
    pub fn path(&self) -> &Path {
        &self.root
    }

    /// Whether the checkpoint is a folder, so that what is made of it is one too.
    pub fn is_folder(&self) -> bool {
        self.folder
    }

    /// The files, by name.
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    /// All tensors of all files, bytewise by name. This is the order in which tensors are ranked together, so
    /// that sharding a checkpoint in another way does not change what is pruned.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// Sets how many threads may work, at most 16 of which do: each reads, computes and writes by itself. As many as
    /// the machine has unless set. Results never depend on it.
    pub fn with_threads(mut self, threads: NonZeroUsize) -> Self {
        self.work.threads = Some(threads);
        self
    }

    /// Sets a function that is called with the progress, every megabyte or so.
    pub fn with_observer(mut self, observer: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.work.observer = Some(Arc::new(observer));
        self
    }

    /// The tensor of this name.
    ///
    /// # Errors
    ///
    /// [`CheckpointError::UnknownTensor`](crate::error::CheckpointError::UnknownTensor) where there is none.
    pub fn tensor(&self, name: &str) -> Result<&TensorInfo> {
        self.number(name).map(|number| &self.tensors[number])
    }

    /// The place of the tensor of this name in [`tensors`](Self::tensors), if there is one.
    pub(super) fn lookup(&self, name: &str) -> Option<usize> {
        listing::lookup(&self.tensors, name)
    }

    /// The place of the tensor of this name in [`tensors`](Self::tensors).
    pub(super) fn number(&self, name: &str) -> Result<usize> {
        listing::number(&self.tensors, name)
    }
}

/// The one file of a folder to begin with: its index, or else its safetensors file.
fn main_file(folder: &Path) -> Result<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("read", folder))? {
        files.push(entry.map_err(failed("read", folder))?.path());
    }
    files.sort();
    let with_end = |end: &str| -> Vec<&PathBuf> {
        let name = |file: &&PathBuf| file.to_string_lossy().ends_with(end);
        files.iter().filter(name).collect()
    };
    match (
        &with_end(".safetensors.index.json")[..],
        &with_end(".safetensors")[..],
    ) {
        ([index], _) => Ok(index.to_path_buf()),
        ([], [file]) => Ok(file.to_path_buf()),
        ([], []) if files.iter().any(|file| is_pytorch(file)) => Err(not_checkpoint(
            folder,
            "it holds files of PyTorch's own format only; save them as safetensors first",
        )),
        ([], []) => Err(not_checkpoint(folder, "the folder holds no safetensors file")),
        ([], _) => Err(not_checkpoint(
            folder,
            "it holds several safetensors files and no index (`model.safetensors.index.json`); name one file",
        )),
        (_, _) => Err(not_checkpoint(
            folder,
            "it holds several indexes; name one of them",
        )),
    }
}

fn is_index(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
}

/// Whether a file is named like those that PyTorch pickles.
fn is_pytorch(path: &Path) -> bool {
    let named = |extension: &std::ffi::OsStr| ["bin", "pt", "pth", "ckpt"].iter().any(|e| extension == *e);
    path.extension().is_some_and(named)
}

fn not_checkpoint(path: &Path, reason: &str) -> Error {
    Error::Checkpoint(CheckpointError::NotCheckpoint {
        path: path.to_owned(),
        reason: reason.to_owned(),
    })
}
