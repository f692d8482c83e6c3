//! Key files on a real file system, refusals first.

use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;

use keybound_proto::jose::{Algorithm, Signer};
use tempfile::TempDir;

use super::*;

fn directory() -> TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn key() -> SoftwareKey {
    SoftwareKey::generate(Algorithm::EdDsa).expect("a key")
}

fn refused(path: &Path) -> KeyFileError {
    SoftwareKey::load(path).expect_err("a refusal")
}

#[test]
fn sc_289_a_key_file_that_others_can_read_is_refused() {
    let directory = directory();
    let path = directory.path().join("agent.pem");
    key().create(&path).expect("a new file");
    for mode in [0o640, 0o604, 0o660, 0o601, 0o610, 0o602, 0o777] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
        let error = refused(&path);
        assert!(
            matches!(error, KeyFileError::Permissions { mode: m, .. } if m == mode),
            "{mode:o}: {error}"
        );
        let chmod = format!("run `chmod 600 '{}'`", path.display());
        assert!(error.to_string().contains(&chmod), "{error}");
    }
    for mode in [0o600, 0o400] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).expect("a mode");
        assert!(SoftwareKey::load(&path).is_ok(), "{mode:o}");
    }
}

#[test]
fn sc_289_a_link_does_not_hide_the_mode_of_its_target() {
    let directory = directory();
    let (path, link) = (directory.path().join("k.pem"), directory.path().join("l"));
    key().create(&path).expect("a new file");
    symlink(&path, &link).expect("a link");
    assert!(SoftwareKey::load(&link).is_ok());
    fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("a mode");
    assert!(matches!(refused(&link), KeyFileError::Permissions { .. }));
}

#[test]
fn what_is_no_key_file_says_so() {
    let directory = directory();
    let at = |name: &str| directory.path().join(name);

    assert!(matches!(
        refused(&at("none")),
        KeyFileError::NotFound { .. }
    ));
    assert!(matches!(
        refused(directory.path()),
        KeyFileError::IsDirectory { .. }
    ));
    symlink(at("none"), at("link")).expect("a link");
    assert!(matches!(
        refused(&at("link")),
        KeyFileError::DanglingLink { .. }
    ));
    let _socket = UnixListener::bind(at("socket")).expect("a socket");
    assert!(matches!(
        refused(&at("socket")),
        KeyFileError::NotRegular { .. }
    ));
    for (name, content) in [("large", vec![b'a'; 20_000]), ("junk", vec![0xff, 0xfe])] {
        fs::write(at(name), content).expect("a file");
        fs::set_permissions(at(name), Permissions::from_mode(0o600)).expect("a mode");
    }
    assert!(matches!(
        refused(&at("large")),
        KeyFileError::TooLarge { .. }
    ));
    assert!(matches!(refused(&at("junk")), KeyFileError::NotAKey { .. }));
}

#[test]
fn nothing_is_overwritten_not_even_through_a_link() {
    let directory = directory();
    let path = directory.path().join("k.pem");
    fs::write(&path, "precious").expect("a file");
    let error = key().create(&path).expect_err("an existing file");
    assert!(matches!(error, KeyFileError::Exists { .. }), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("the file"), "precious");

    let (link, elsewhere) = (directory.path().join("l"), directory.path().join("e"));
    symlink(&elsewhere, &link).expect("a link");
    let error = key().create(&link).expect_err("an existing link");
    assert!(matches!(error, KeyFileError::Exists { .. }), "{error}");
    assert!(!elsewhere.exists());

    let error = key().create(directory.path()).expect_err("a directory");
    assert!(matches!(error, KeyFileError::IsDirectory { .. }), "{error}");
}

#[test]
fn a_new_file_is_private_and_holds_the_key() {
    let directory = directory();
    let parent = directory.path().join("a/b");
    let path = parent.join("k.pem");
    let key = key();
    key.create(&path).expect("a new file");
    let mode = |path: &Path| fs::metadata(path).expect("metadata").mode() & 0o7777;
    assert_eq!((mode(&path), mode(&parent)), (0o600, 0o700));
    let jkt = key.public_key().thumbprint();
    let loaded = SoftwareKey::load(&path).expect("the file");
    assert_eq!(loaded.public_key().thumbprint(), jkt);
    let opened = crate::open(&format!("file:{}", path.display())).expect("the same");
    assert_eq!(opened.public_key().thumbprint(), jkt);
}
