//! [`save_tensors`]: a safetensors file of tensors in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use safetensors::View;

use crate::checkpoint::Existing;
use crate::checkpoint::format::layout::{Layout, Planned};
use crate::checkpoint::io::{Inputs, Kind, OutputFile, Staged, commit};
use crate::error::Result;

/// Writes tensors as a safetensors file, in this order.
///
/// The file is written under another name and renamed when it is complete, so that a failure leaves the existing file
/// as it was. Only a regular file is replaced. If the path is a link, the file that it points to is replaced, and the
/// link stays.
///
/// ```
/// use safetensors::tensor::TensorView;
/// use secateurs::checkpoint::{Checkpoint, Dtype, save_tensors};
///
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("model.safetensors");
/// save_tensors(&path, [("ids", TensorView::new(Dtype::U8, vec![3], &[1, 2, 3])?)])?;
/// assert_eq!(Checkpoint::open(&path)?.tensor("ids")?.shape(), [3]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`CheckpointError::ReservedName`](crate::error::CheckpointError::ReservedName) for a tensor called `__metadata__`,
/// [`OutputError`](crate::error::OutputError) where the path cannot be replaced, and [`Error::Io`](crate::Error::Io) if
/// the file cannot be written.
pub fn save_tensors<N: Into<String>, V: View>(
    path: impl AsRef<Path>,
    tensors: impl IntoIterator<Item = (N, V)>,
) -> Result<()> {
    let path = path.as_ref();
    let (planned, tensors): (Vec<_>, Vec<_>) = tensors.into_iter().map(planned).unzip();
    let layout = Layout::new(
        &planned,
        &BTreeMap::from([("format".to_owned(), "pt".to_owned())]),
    )?;
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let no_inputs = Inputs::default();
    let staged = Staged::new(
        &target,
        Kind::File,
        Existing::Replace,
        &no_inputs,
        &BTreeSet::new(),
    )?;
    let like = target.exists().then_some(&*target);
    let file = OutputFile::create(&staged.path(), layout.len, like)?;
    file.write_at(&layout.header, 0)?;
    for (tensor, begin) in tensors.iter().zip(&layout.begins) {
        file.write_at(&tensor.data(), *begin)?;
    }
    file.sync()?;
    drop(file);
    commit(vec![staged])
}

fn planned<N: Into<String>, V: View>((name, tensor): (N, V)) -> (Planned, V) {
    let planned = Planned {
        name: name.into(),
        dtype: tensor.dtype(),
        shape: tensor.shape().to_vec(),
    };
    (planned, tensor)
}
