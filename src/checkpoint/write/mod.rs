//! Writing checkpoints: new files of which every byte is either copied or made by a job.

mod files;
pub(super) mod mask_file;
pub(super) mod mask_tensor;
pub(super) mod masked;
pub(super) mod new_files;
pub(super) mod plan;
mod tensor_file;

pub use files::{SavedFile, save_files};
pub(super) use new_files::NewFiles;
pub(super) use plan::{NewFile, OutputPlan};
pub use tensor_file::save_tensors;
