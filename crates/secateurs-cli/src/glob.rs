//! Tensors selected by patterns of their names.

use globset::GlobBuilder;
use secateurs::checkpoint::{Checkpoint, TensorInfo};

use crate::args::ChooseArgs;
use crate::failure::Failure;

/// The selected tensors: those that `--include` matches, or else those that `default` accepts, without those that
/// `--exclude` matches.
pub fn choose<'a>(
    checkpoint: &'a Checkpoint,
    args: &ChooseArgs,
    default: impl Fn(&TensorInfo) -> bool,
) -> Result<Vec<&'a TensorInfo>, Failure> {
    let names: Vec<&str> = checkpoint.tensors().iter().map(TensorInfo::name).collect();
    let include = matches(&args.include, "--include", &names)?;
    let exclude = matches(&args.exclude, "--exclude", &names)?;
    let chosen = checkpoint.tensors().iter().enumerate().filter(|(i, tensor)| {
        let taken = if args.include.is_empty() {
            default(tensor)
        } else {
            include[*i]
        };
        taken && !exclude[*i]
    });
    Ok(chosen.map(|(_, tensor)| tensor).collect())
}

/// For each name whether any of the patterns matches it. A pattern that matches none is a mistake.
pub fn matches(patterns: &[String], option: &str, names: &[&str]) -> Result<Vec<bool>, Failure> {
    let mut matched = vec![false; names.len()];
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern).build();
        let glob = glob.map_err(|error| Failure::options(format!("{option}: {error}")))?;
        let matcher = glob.compile_matcher();
        let mut any = false;
        for (matched, name) in matched.iter_mut().zip(names) {
            let matches = matcher.is_match(name);
            *matched |= matches;
            any |= matches;
        }
        if !any {
            let some = names.iter().take(3).map(|name| format!("`{name}`"));
            let some = some.collect::<Vec<_>>().join(", ");
            return Err(Failure::options(format!(
                "{option} {pattern}: it matches no tensor; there are {} tensors, such as {some}",
                names.len()
            )));
        }
    }
    Ok(matched)
}
