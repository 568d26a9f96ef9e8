//! [`NewFiles`]: the files of a new checkpoint, from the first check to their names.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::mask_file::MaskFile;
use super::plan::{Copied, OutputPlan};
use crate::checkpoint::io::{ExtraFiles, Inputs, Kind, OutputFile, Staged, commit, failed};
use crate::checkpoint::stream::chunk::CHUNK_BYTES;
use crate::checkpoint::stream::{Phase, Progress, ordered};
use crate::checkpoint::{Checkpoint, Existing};
use crate::error::Result;

/// New files for a checkpoint: a folder for a folder, with every other file copied, and a file for a file.
pub(in crate::checkpoint) struct NewFiles<'a> {
    checkpoint: &'a Checkpoint,
    staged: Staged,
    extra: ExtraFiles,
    /// By shard of the input; `None` for one of which nothing remains.
    files: Vec<Option<OutputFile>>,
}

/// A part of the work.
#[derive(Clone)]
enum Job<J> {
    Copy(Copied),
    Make(J),
}

/// What a worker holds.
struct Worker<W> {
    copied: Vec<u8>,
    own: W,
}

impl<'a> NewFiles<'a> {
    /// Checks, before any work, that the output can go there: apart from the checkpoint and from `other` input, with
    /// other files that can be copied, and nothing in the way.
    pub fn stage(
        checkpoint: &'a Checkpoint,
        path: &Path,
        existing: Existing,
        other: Option<&Checkpoint>,
    ) -> Result<Self> {
        let mut inputs = checkpoint.inputs();
        if let Some(other) = other {
            let other = other.inputs();
            inputs.files.extend(other.files);
            inputs.folders.extend(other.folders);
        }
        let (kind, extra) = if checkpoint.is_folder() {
            let extra = ExtraFiles::find(checkpoint.path(), |name| checkpoint.is_own_file(name))?;
            (Kind::Folder, extra)
        } else {
            (Kind::File, ExtraFiles::default())
        };
        let own = checkpoint
            .own_files()
            .filter_map(Path::file_name)
            .map(PathBuf::from);
        let contents: BTreeSet<PathBuf> = own.chain(extra.files.iter().cloned()).collect();
        Ok(NewFiles {
            staged: Staged::new(path, kind, existing, &inputs, &contents)?,
            checkpoint,
            extra,
            files: Vec::new(),
        })
    }

    /// The staged output, for other outputs of the same run to be compared with.
    pub fn staged(&self) -> &Staged {
        &self.staged
    }

    /// Creates the files that are planned, with their headers.
    pub fn create(&mut self, plan: &OutputPlan) -> Result<()> {
        for (shard, file) in self.checkpoint.shards().iter().zip(&plan.files) {
            let Some(file) = file else {
                self.files.push(None);
                continue;
            };
            let mut path = self.staged.path();
            if self.checkpoint.is_folder() {
                path.push(shard.file_name());
            }
            let output = OutputFile::create(&path, file.len, Some(shard.path()))?;
            output.write_at(&file.header, 0)?;
            self.files.push(Some(output));
        }
        Ok(())
    }

    /// Copies what the plan says, and takes the jobs through the steps of an [`ordered`] pipeline, which write what
    /// they make. `bytes` says how many bytes of the whole output a job counts for.
    #[expect(clippy::too_many_arguments)] // the steps of the pipeline, a closure each
    pub fn run<J: Clone + Send, W: Send>(
        &self,
        plan: &OutputPlan,
        jobs: impl Iterator<Item = J> + Clone + Send,
        new_worker: impl Fn() -> W,
        bytes: impl Fn(&J) -> u64 + Sync,
        prepare: impl Fn(&mut J, &mut W) -> Result<()> + Sync,
        mut in_order: impl FnMut(&mut J, &mut W) -> Result<()> + Send,
        finish: impl Fn(J, &mut W) -> Result<()> + Sync,
    ) -> Result<Vec<W>> {
        let (checkpoint, total) = (self.checkpoint, plan.bytes());
        let copied = plan.joined();
        let copies = copied.iter().flat_map(|&Copied { shard, from, to, len }| {
            (0..len).step_by(CHUNK_BYTES).map(move |at| Copied {
                shard,
                from: from + at,
                to: to + at,
                len: (len - at).min(CHUNK_BYTES as u64),
            })
        });
        let jobs = copies.map(Job::Copy).chain(jobs.map(Job::Make));
        let mut workers = checkpoint.work.workers_for(jobs.clone(), || Worker {
            copied: Vec::new(),
            own: new_worker(),
        });
        let mut done = 0;
        ordered(
            &mut workers,
            jobs,
            |job, worker| match job {
                Job::Copy(part) => {
                    checkpoint.read_bytes(part.shard, part.from, part.len as usize, &mut worker.copied)
                }
                Job::Make(job) => prepare(job, &mut worker.own),
            },
            |job, worker| {
                done += match job {
                    Job::Copy(part) => part.len,
                    Job::Make(job) => {
                        in_order(job, &mut worker.own)?;
                        bytes(job)
                    }
                };
                let phase = Phase::Writing;
                checkpoint.work.tell(Progress { phase, done, total });
                Ok(())
            },
            |job, worker| match job {
                Job::Copy(part) => self.write(part.shard, part.to, &worker.copied),
                Job::Make(job) => finish(job, &mut worker.own),
            },
        )?;
        Ok(workers.into_iter().map(|worker| worker.own).collect())
    }

    /// Writes bytes to the new file that comes from a shard.
    pub fn write(&self, shard: usize, position: u64, bytes: &[u8]) -> Result<()> {
        match &self.files[shard] {
            Some(file) => file.write_at(bytes, position),
            None => Ok(()),
        }
    }

    /// Copies the index and the other files, waits until everything is on the disk, checks that the input was the same
    /// all the time, has the new checkpoint checked, and gives it its name, together with a file of masks. Returns
    /// which other files were copied.
    pub fn finish(
        self,
        plan: &OutputPlan,
        masks: Option<MaskFile>,
        check: impl FnOnce(&Path) -> Result<()>,
    ) -> Result<Vec<PathBuf>> {
        let output = self.staged.path();
        self.extra.copy_into(&output)?;
        let mut copied = self.extra.files;
        let mut main = output.clone();
        if let Some(index) = &self.checkpoint.index {
            main.push(index.file_name().unwrap_or_default());
            let text = match &plan.index {
                Some(text) => text.as_bytes().to_vec(),
                None => {
                    copied.extend(index.file_name().map(PathBuf::from));
                    copied.sort();
                    fs::read(index).map_err(failed("read", index))?
                }
            };
            let file = OutputFile::create(&main, text.len() as u64, Some(index))?;
            file.write_at(&text, 0)?;
            file.sync()?;
        }
        self.files.iter().flatten().try_for_each(OutputFile::sync)?;
        self.checkpoint.check_unchanged()?;
        check(&main)?;
        if self.checkpoint.is_folder() {
            permit_as(&output, self.checkpoint.path())?;
        }
        drop(self.files); // some systems rename no open files
        let mut outputs = vec![self.staged];
        if let Some(masks) = masks {
            outputs.push(masks.into_staged()?);
        }
        commit(outputs)?;
        Ok(copied)
    }
}

impl Checkpoint {
    /// What no output may be, replace or lie inside.
    pub(in crate::checkpoint) fn inputs(&self) -> Inputs {
        Inputs {
            files: self.own_files().map(PathBuf::from).collect(),
            folders: self
                .is_folder()
                .then(|| self.path().to_owned())
                .into_iter()
                .collect(),
        }
    }

    /// The shards, and the index if there is one.
    fn own_files(&self) -> impl Iterator<Item = &Path> {
        let shards = self.shards().iter().map(|shard| shard.path());
        shards.chain(self.index.as_deref())
    }

    fn is_own_file(&self, name: &OsStr) -> bool {
        self.own_files().any(|file| file.file_name() == Some(name))
    }

    /// An error where a file is no longer what it was when it was opened.
    pub(in crate::checkpoint) fn check_unchanged(&self) -> Result<()> {
        self.shards().iter().try_for_each(|shard| shard.check_unchanged())
    }
}

/// Gives a folder the permissions of another one; its owner can always write to it.
fn permit_as(folder: &Path, like: &Path) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::metadata(like)
            .map_err(failed("read", like))?
            .permissions()
            .mode();
        let permissions = fs::Permissions::from_mode(mode | 0o700);
        fs::set_permissions(folder, permissions).map_err(failed("set the permissions of", folder))?;
    }
    #[cfg(not(unix))]
    let _ = (folder, like);
    Ok(())
}
