//! Chunks on their way from files through some work into files.
//!
//! Reading, working and writing go on at the same time, each in a thread of its own, with a fixed number of chunks
//! between them: so memory does not grow with the files. Chunks arrive at the work in the order of the jobs, one
//! after the other, so the threads change nothing about what it sees.

use std::sync::mpsc::sync_channel;
use std::thread;

use crate::error::Result;

/// Bytes of a chunk: small enough that it stays in the cache between decoding and encoding. Tests have short ones, so
/// that small tensors have many.
pub(super) const CHUNK: usize = if cfg!(test) { 1 << 10 } else { 1 << 20 };

/// Chunks that are on their way at once.
const CHUNKS: usize = 6;

/// Takes each job in turn through `read`, `work` and `write`, together with a chunk of memory, which is used again for
/// later jobs. The first error ends it.
pub(super) fn flow<J: Send, C: Default + Send>(
    in_parallel: bool,
    jobs: impl Iterator<Item = J> + Send,
    mut read: impl FnMut(&J, &mut C) -> Result<()> + Send,
    mut work: impl FnMut(&mut J, &mut C) -> Result<()>,
    mut write: impl FnMut(J, &C) -> Result<()> + Send,
) -> Result<()> {
    if !in_parallel {
        let mut chunk = C::default();
        for mut job in jobs {
            read(&job, &mut chunk)?;
            work(&mut job, &mut chunk)?;
            write(job, &chunk)?;
        }
        return Ok(());
    }
    let (put_empty, empty) = sync_channel(CHUNKS);
    let (put_full, full) = sync_channel(CHUNKS);
    let (put_done, done) = sync_channel::<(J, C)>(CHUNKS);
    for _ in 0..CHUNKS {
        let _ = put_empty.send(C::default()); // there is room, and the other end is in this function
    }
    thread::scope(|scope| {
        scope.spawn(move || {
            for job in jobs {
                let Ok(mut chunk) = empty.recv() else { return };
                let read = read(&job, &mut chunk);
                let failed = read.is_err();
                if put_full.send(read.map(|()| (job, chunk))).is_err() || failed {
                    return;
                }
            }
        });
        let writer = scope.spawn(move || {
            for (job, chunk) in done {
                write(job, &chunk)?;
                let _ = put_empty.send(chunk); // nobody reads any more, where it fails
            }
            Ok(())
        });
        // Moved in, so that leaving early closes both channels and ends both threads.
        let worked = (move || {
            for item in full {
                let (mut job, mut chunk) = item?;
                work(&mut job, &mut chunk)?;
                if put_done.send((job, chunk)).is_err() {
                    break; // the writer failed, and says why
                }
            }
            Ok(())
        })();
        let written = writer
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        worked.and(written)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::values::Values;
    use crate::error::Error;

    fn run(in_parallel: bool, fail_at: [Option<usize>; 3]) -> (Result<()>, Vec<usize>) {
        let fail = |stage: usize, job: usize| match fail_at[stage] {
            Some(at) if at == job => Err(Error::NoParameters),
            _ => Ok(()),
        };
        let mut written = Vec::new();
        let result = flow(
            in_parallel,
            0..100,
            |job, chunk| {
                *chunk = Values::Raw(vec![*job as u8]);
                fail(0, *job)
            },
            |job, chunk| {
                assert!(matches!(chunk, Values::Raw(bytes) if bytes[0] == *job as u8));
                fail(1, *job)
            },
            |job, _| {
                written.push(job);
                fail(2, job)
            },
        );
        (result, written)
    }

    #[test]
    fn keeps_order_and_ends_at_the_first_error() {
        for in_parallel in [false, true] {
            let (result, written) = run(in_parallel, [None; 3]);
            result.unwrap();
            assert_eq!(written, (0..100).collect::<Vec<_>>());
            for stage in 0..3 {
                let mut fail_at = [None; 3];
                fail_at[stage] = Some(50);
                let (result, written) = run(in_parallel, fail_at);
                assert!(matches!(result, Err(Error::NoParameters)));
                assert!(written.len() <= 51);
                assert!(written.iter().copied().eq(0..written.len()));
            }
        }
    }
}
