//! What SIGINT and SIGTERM do: staged outputs are removed, and the process ends as it would have.

/// Watches for signals from now on.
#[cfg(unix)]
pub fn watch() {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else {
        return; // what is staged is removed by the next run then
    };
    let wait = move || {
        if let Some(signal) = signals.forever().next() {
            secateurs::checkpoint::discard_staged();
            let _ = emulate_default_handler(signal);
            std::process::exit(128 + signal);
        }
    };
    let _ = std::thread::Builder::new().name("signals".into()).spawn(wait);
}

/// Other systems end the process; what is staged is removed by the next run for the same output.
#[cfg(not(unix))]
pub fn watch() {}
