//! Where things are, and reading and writing them with errors that name the file.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The repository's root. This crate lives one folder below it.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

pub(crate) fn read(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path).map_err(|source| Failure::File {
        path: path.to_path_buf(),
        source,
    })
}

pub(crate) fn write(path: &Path, text: &str) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|source| Failure::File {
        path: path.to_path_buf(),
        source,
    })
}

pub(crate) fn create_directory(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path).map_err(|source| Failure::File {
        path: path.to_path_buf(),
        source,
    })
}

/// The files under `directory` whose name ends in `suffix`, sorted, without hidden folders, build
/// output and installed packages. An absent directory has no files.
pub(crate) fn files_under(directory: &Path, suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut pending = vec![directory.to_path_buf()];
    while let Some(current) = pending.pop() {
        let Ok(entries) = std::fs::read_dir(&current) else {
            continue;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if path.is_dir() {
                if !is_skipped(&name) {
                    pending.push(path);
                }
            } else if name.ends_with(suffix) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn is_skipped(directory_name: &str) -> bool {
    directory_name.starts_with('.')
        || directory_name.starts_with("target")
        || directory_name == "node_modules"
}
