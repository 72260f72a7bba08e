//! Every target with its seeds, with the inputs that once were a fault, and with mutations that are the same each time.

use std::cell::Cell;
use std::panic;
use std::path::Path;
use std::sync::Once;

use sockeye_fuzz_targets::mutation::{Random, mutate};
use sockeye_fuzz_targets::{TARGETS, Target};

fn smoke(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("is in the list");
    let known = known(target);
    let mut random = Random::new(0x50c7_e7e5);
    for seed in target.seeds {
        tried(target, seed);
        for _ in 0..target.mutations {
            tried(target, &mutate(seed, target.seeds, &mut random));
        }
    }
    for input in &known {
        tried(target, input);
    }
}

thread_local! {
    /// Something panicked on this thread, be it in a task, whose panic goes no further.
    static PANICKED: Cell<bool> = const { Cell::new(false) };
}

fn watch_panics() {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        let shown = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            PANICKED.set(true);
            shown(info);
        }));
    });
}

/// Runs one input, and shows it if it is a fault.
fn tried(target: &Target, input: &[u8]) {
    watch_panics();
    let result = panic::catch_unwind(|| (target.run)(input));
    assert!(result.is_ok() && !PANICKED.get(), "{} fails on b\"{}\"", target.name, input.escape_ascii());
}

/// `fuzz/faults/<target>/*`: inputs that found one.
fn known(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../faults").join(target.name);
    let Ok(files) = folder.read_dir() else { return Vec::new() };
    files.map(|file| std::fs::read(file.expect("is listed").path()).expect("can be read")).collect()
}

macro_rules! smoke {
    ($($name:ident),*) => {
        $(#[test] fn $name() { smoke(stringify!($name)); })*

        #[test]
        fn every_target_is_tried() {
            assert_eq!(TARGETS.map(|target| target.name), [$(stringify!($name)),*]);
        }
    };
}

smoke!(
    packet,
    payload,
    payload_v3,
    ws_message,
    wt_stream,
    handshake,
    parser_json,
    parser_msgpack,
    args,
    connection,
    session,
    http1,
    server,
    proxy,
    jsonp,
    client_http,
    client
);
