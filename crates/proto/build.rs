//! Compiles `/proto` with protox, so that nobody needs protoc.
// Cargo tells a build script by the environment where it is.
#![allow(clippy::disallowed_methods)]

use std::{env, error::Error, fs, path::PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let package = root.join("platepal/realtime/v1");
    let mut files: Vec<PathBuf> =
        fs::read_dir(&package)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.sort();
    println!("cargo:rerun-if-changed={}", package.display());

    let descriptors = protox::compile(&files, [&root])?;
    fs::write(
        PathBuf::from(env::var("OUT_DIR")?).join("descriptors.bin"),
        prost::Message::encode_to_vec(&descriptors),
    )?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
