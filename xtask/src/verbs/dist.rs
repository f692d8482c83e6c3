//! `dist`: the release archive for the machine this runs on.

use std::path::{Path, PathBuf};

use super::binary;
use crate::command::Run;
use crate::failure::Failure;
use crate::paths;

const DOCUMENTS: [&str; 5] = [
    "CHANGELOG.md",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "SECURITY.md",
];

/// Builds with the `dist` profile and packs program, man pages, completions and documents, with a
/// SHA-256 file beside the archive.
pub(crate) fn run(_options: &[String]) -> Result<(), Failure> {
    let keybound = binary::build(&[
        "build",
        "--locked",
        "--profile",
        "dist",
        "--package",
        "keybound",
    ])?
    .keybound;
    let name = format!("keybound-{}-{}", env!("CARGO_PKG_VERSION"), host()?);
    let parent = keybound
        .parent()
        .map_or_else(paths::root, Path::to_path_buf);
    let folder = parent.join(&name);
    fill(&folder, &keybound)?;
    let archive = format!("{name}.tar.gz");
    Run::new("tar")
        .directory(&parent)
        .arguments([
            "--create",
            "--gzip",
            "--owner=0",
            "--group=0",
            "--sort=name",
        ])
        .arguments(["--file", &archive, &name])
        .wait()?;
    let sum = Run::new("sha256sum")
        .directory(&parent)
        .arguments([&archive]);
    let sum = sum.answer().ok_or_else(|| {
        Failure::Missing("`sha256sum` gave no answer; install coreutils".to_owned())
    })?;
    paths::write(
        &parent.join(format!("{archive}.sha256")),
        &format!("{sum}\n"),
    )?;
    println!("{}", parent.join(&archive).display());
    Ok(())
}

fn fill(folder: &Path, keybound: &Path) -> Result<(), Failure> {
    paths::create_directory(&folder.join("man"))?;
    paths::create_directory(&folder.join("completions"))?;
    copy(keybound, &folder.join("keybound"))?;
    for document in DOCUMENTS {
        copy(&paths::root().join(document), &folder.join(document))?;
    }
    let program = keybound.to_string_lossy();
    Run::new(&program)
        .arguments(["man"])
        .arguments([folder.join("man")])
        .wait()?;
    for shell in ["bash", "fish", "zsh"] {
        let script = Run::new(&program)
            .arguments(["completions", shell])
            .answer();
        let script = script.ok_or_else(|| {
            Failure::Findings(vec![format!("`keybound completions {shell}` failed")])
        })?;
        paths::write(&folder.join("completions").join(shell), &script)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<(), Failure> {
    match std::fs::copy(from, to) {
        Ok(_) => Ok(()),
        Err(source) => Err(Failure::File {
            path: PathBuf::from(from),
            source,
        }),
    }
}

/// The target triple of this machine's compiler.
fn host() -> Result<String, Failure> {
    let answer = Run::new("rustc").arguments(["-vV"]).answer();
    answer
        .as_deref()
        .and_then(|text| text.lines().find_map(|line| line.strip_prefix("host: ")))
        .map(str::to_owned)
        .ok_or_else(|| Failure::Missing("`rustc -vV` gave no host".to_owned()))
}
