//! What a verb needs on this machine, said before anything is installed.
//!
//! What stays inside the project's folder (npm packages, a Python environment) is installed without
//! asking. The machine itself is changed by root, with `--yes`, where `CI=true` is set, or after a yes
//! at a terminal. Otherwise the one command that would do it is printed and the verb stops with status 2.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;

use serde_json::Value;

use crate::command::Run;
use crate::failure::Failure;
use crate::paths;

const OLDEST_NODE: u64 = 20;

/// One thing that must be there.
#[derive(Debug)]
pub(crate) struct Need {
    what: String,
    /// What was found, or why what was found does not do.
    state: Result<String, String>,
    /// The command that brings it, split into arguments.
    install: Vec<&'static str>,
}

/// How permission to install is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    Given,
    Ask,
}

impl Consent {
    /// From the verb's options and the environment.
    pub(crate) fn from_options(options: &[String]) -> Self {
        let said = options.iter().any(|option| option == "--yes");
        if said || runs_unattended() || is_root() {
            Self::Given
        } else {
            Self::Ask
        }
    }
}

/// What formatting and linting need.
pub(crate) fn rust_components() -> Vec<Need> {
    vec![component("rustfmt", "fmt"), component("clippy", "clippy")]
}

/// What the tests of TLS listeners need: certificates made by one program, a client that is another.
pub(crate) fn certificate_tools() -> Need {
    let versions: Option<Vec<String>> = [("openssl", "version"), ("curl", "--version")]
        .iter()
        .map(|(program, option)| Run::new(program).arguments([*option]).answer())
        .collect();
    Need {
        what: "openssl and curl".to_owned(),
        state: match versions {
            Some(_) => Ok("installed".to_owned()),
            None => Err("not installed".to_owned()),
        },
        install: with_root(vec![
            "apt-get",
            "install",
            "--yes",
            "--no-install-recommends",
            "openssl",
            "curl",
        ]),
    }
}

/// What `interop/` needs: Node.js and the packages of its lock file, Python with those of
/// `peers/requirements.txt` and, where there is a package manager that has them, Apache with mod_oauth2,
/// nginx, HAProxy and Caddy. Tests whose peer is missing say that they were skipped.
pub(crate) fn interop() -> Vec<Need> {
    let mut needs = vec![node(), npm(), packages(), python(), python_packages()];
    if Run::new("apt-get")
        .arguments(["--version"])
        .answer()
        .is_some()
    {
        needs.push(apache());
        needs.push(browser());
        needs.push(terminators());
    }
    needs
}

/// What the tests of shared replay logs start, where there is a package manager that has it.
/// Tests whose server is missing say that they were skipped.
pub(crate) fn stores() -> Vec<Need> {
    if Run::new("apt-get")
        .arguments(["--version"])
        .answer()
        .is_none()
    {
        return Vec::new();
    }
    let redis = ["/usr/bin/valkey-server", "/usr/bin/redis-server"];
    let postgres = Path::new("/usr/lib/postgresql").exists();
    let server = |what: &str, is_there: bool, package| Need {
        what: what.to_owned(),
        state: if is_there {
            Ok("installed".to_owned())
        } else {
            Err("not installed".to_owned())
        },
        install: with_root(vec![
            "apt-get",
            "install",
            "--yes",
            "--no-install-recommends",
            package,
        ]),
    };
    let is_redis_there = redis.iter().any(|file| Path::new(file).exists());
    vec![
        server("Redis or Valkey", is_redis_there, "redis-server"),
        server("PostgreSQL", postgres, "postgresql"),
    ]
}

/// Prints what is needed and found, and installs what is missing if that is allowed.
pub(crate) fn satisfy(needs: &[Need], consent: Consent) -> Result<(), Failure> {
    println!("needs:");
    for need in needs {
        match &need.state {
            Ok(found) => println!("  {}: {found}", need.what),
            Err(problem) => println!("  {}: {problem}", need.what),
        }
    }
    let missing: Vec<&Need> = needs.iter().filter(|need| need.state.is_err()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let commands = install_commands(&missing);
    println!("to be installed with:");
    for command in &commands {
        println!("  {}", command.join(" "));
    }
    let outside = commands.iter().any(|command| !stays_inside(command));
    if consent == Consent::Ask && outside && !said_yes("install now? [y/N] ") {
        let lines: Vec<String> = commands.iter().map(|command| command.join(" ")).collect();
        return Err(Failure::Missing(format!(
            "something is missing; run `{}`, or add `--yes` to let this command do it",
            lines.join(" && ")
        )));
    }
    for command in &commands {
        if let Some((program, arguments)) = command.split_first() {
            Run::new(program).arguments(arguments).wait()?;
        }
    }
    Ok(())
}

/// Whether a command changes nothing but the project's folder.
fn stays_inside(command: &[&str]) -> bool {
    match command {
        ["npm", "ci", rest @ ..] => rest.ends_with(&["--prefix", "interop"]),
        ["python3", "-m", "venv", folder] => folder.starts_with("interop/"),
        [program, ..] => program.starts_with("interop/"),
        [] => true,
    }
}

/// The commands for everything missing, each once, in the order of the needs.
fn install_commands(missing: &[&Need]) -> Vec<Vec<&'static str>> {
    let mut commands: Vec<Vec<&'static str>> = Vec::new();
    for need in missing {
        if !commands.contains(&need.install) {
            commands.push(need.install.clone());
        }
    }
    commands
}

fn component(name: &'static str, subcommand: &str) -> Need {
    Need {
        what: name.to_owned(),
        state: Run::cargo()
            .arguments([subcommand, "--version"])
            .answer()
            .ok_or_else(|| "not installed".to_owned()),
        install: vec!["rustup", "component", "add", name],
    }
}

fn node() -> Need {
    let state = match Run::new("node").arguments(["--version"]).answer() {
        None => Err("not installed".to_owned()),
        Some(version) if major(&version) >= OLDEST_NODE => Ok(version),
        Some(version) => Err(format!("{version} is too old")),
    };
    Need {
        what: format!("Node.js {OLDEST_NODE} or newer"),
        state,
        install: debian_packages(),
    }
}

fn npm() -> Need {
    Need {
        what: "npm".to_owned(),
        state: Run::new("npm")
            .arguments(["--version"])
            .answer()
            .ok_or_else(|| "not installed".to_owned()),
        install: debian_packages(),
    }
}

/// The interpreter of the interop tests, apart from the machine's own packages.
fn python() -> Need {
    let interpreter = paths::root().join("interop/.venv/bin/python");
    Need {
        what: "Python environment interop/.venv".to_owned(),
        state: Run::new(&interpreter.to_string_lossy())
            .arguments(["--version"])
            .answer()
            .ok_or_else(|| "not there".to_owned()),
        install: vec!["python3", "-m", "venv", "interop/.venv"],
    }
}

fn python_packages() -> Need {
    let root = paths::root();
    let wanted = root.join("interop/peers/requirements.txt");
    let installed = root.join("interop/.venv/requirements.txt");
    let same = std::fs::read(&wanted)
        .is_ok_and(|wanted| std::fs::read(&installed).is_ok_and(|installed| installed == wanted));
    Need {
        what: "Python packages of interop/peers/requirements.txt".to_owned(),
        state: if same {
            Ok("installed".to_owned())
        } else {
            Err("not installed".to_owned())
        },
        install: vec!["interop/.venv/bin/python", "interop/peers/install.py"],
    }
}

/// The programs without the service that Debian's `apache2` starts.
fn apache() -> Need {
    let files = [
        "/usr/sbin/apache2",
        "/usr/lib/apache2/modules/mod_ssl.so",
        "/usr/lib/apache2/modules/mod_oauth2.so",
        "/usr/bin/openssl",
    ];
    let is_there = files.iter().all(|file| Path::new(file).exists());
    Need {
        what: "Apache with mod_oauth2, and openssl".to_owned(),
        state: if is_there {
            Ok("installed".to_owned())
        } else {
            Err("not installed".to_owned())
        },
        install: debian(&["apache2-bin", "libapache2-mod-oauth2", "openssl"]),
    }
}

/// A browser for the pages that people see.
fn browser() -> Need {
    let is_there = Path::new("/usr/bin/chromium").exists();
    Need {
        what: "Chromium".to_owned(),
        state: if is_there {
            Ok("installed".to_owned())
        } else {
            Err("not installed".to_owned())
        },
        install: debian(&["chromium"]),
    }
}

/// Debian's packages, unpacked into the project's folder: nothing is installed, no service starts.
fn terminators() -> Need {
    let is_there = paths::root().join("interop/.proxies/complete").exists();
    Need {
        what: "nginx, HAProxy and Caddy in interop/.proxies".to_owned(),
        state: if is_there {
            Ok("unpacked".to_owned())
        } else {
            Err("not there".to_owned())
        },
        install: vec!["interop/.venv/bin/python", "interop/peers/proxies.py"],
    }
}

fn debian_packages() -> Vec<&'static str> {
    with_root(vec!["apt-get", "install", "--yes", "nodejs", "npm"])
}

/// Debian's packages without what they merely recommend.
fn debian(packages: &[&'static str]) -> Vec<&'static str> {
    let mut command = vec!["apt-get", "install", "--yes", "--no-install-recommends"];
    command.extend_from_slice(packages);
    with_root(command)
}

fn with_root(mut command: Vec<&'static str>) -> Vec<&'static str> {
    if !is_root() {
        command.insert(0, "sudo");
    }
    command
}

fn is_root() -> bool {
    Run::new("id").arguments(["-u"]).answer().as_deref() == Some("0")
}

fn packages() -> Need {
    let directory = paths::root().join("interop");
    let wanted = locked_packages(&directory.join("package-lock.json"));
    let installed = locked_packages(&directory.join("node_modules/.package-lock.json"));
    let state = if !wanted.is_empty() && wanted == installed {
        Ok(format!("{} packages installed", wanted.len()))
    } else {
        Err(format!("{} packages, not installed", wanted.len()))
    };
    Need {
        what: "npm packages of interop/package-lock.json".to_owned(),
        state,
        install: vec![
            "npm",
            "ci",
            "--no-audit",
            "--no-fund",
            "--prefix",
            "interop",
        ],
    }
}

/// Name and version of each package in a lock file; empty when there is none. Optional ones are
/// for some machines only, so nothing follows from their absence.
fn locked_packages(lock: &Path) -> Vec<(String, String)> {
    let Ok(text) = std::fs::read_to_string(lock) else {
        return Vec::new();
    };
    let Ok(document) = serde_json::from_str::<Value>(&text) else {
        return Vec::new();
    };
    let Some(packages) = document.get("packages").and_then(Value::as_object) else {
        return Vec::new();
    };
    let mut found: Vec<(String, String)> = packages
        .iter()
        .filter(|(name, _)| !name.is_empty())
        .filter(|(_, entry)| entry.get("optional") != Some(&Value::Bool(true)))
        .filter_map(|(name, entry)| {
            let version = entry.get("version")?.as_str()?;
            Some((name.clone(), version.to_owned()))
        })
        .collect();
    found.sort();
    found
}

/// The first number of a version such as `v20.20.2`; 0 when there is none.
fn major(version: &str) -> u64 {
    let digits = version.trim_start_matches('v');
    let end = digits.find('.').unwrap_or(digits.len());
    digits.get(..end).unwrap_or_default().parse().unwrap_or(0)
}

fn said_yes(question: &str) -> bool {
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return false;
    }
    eprint!("{question}");
    if std::io::stderr().flush().is_err() {
        return false;
    }
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

#[expect(
    clippy::disallowed_methods,
    reason = "CI=true is how a build server says that nobody can answer a question"
)]
fn runs_unattended() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_major_version() {
        assert_eq!(major("v20.20.2"), 20);
        assert_eq!(major("18.19.0"), 18);
        assert_eq!(major("v22"), 22);
        assert_eq!(major("nightly"), 0);
    }

    #[test]
    fn what_leaves_the_folder_needs_consent() {
        for outside in [
            &["sudo", "apt-get", "install", "--yes", "nodejs"][..],
            &["rustup", "component", "add", "clippy"],
            &["npm", "ci"],
            &["python3", "-m", "venv", "/opt/venv"],
        ] {
            assert!(!stays_inside(outside), "{outside:?}");
        }
        for needs in [packages(), python(), python_packages(), terminators()] {
            assert!(stays_inside(&needs.install), "{:?}", needs.install);
        }
        assert!(!stays_inside(&apache().install));
    }

    #[test]
    fn one_command_for_two_needs_that_share_it() {
        let need = |what: &str| Need {
            what: what.to_owned(),
            state: Err("not installed".to_owned()),
            install: vec!["apt-get", "install", "nodejs", "npm"],
        };
        let (node, npm) = (need("node"), need("npm"));
        assert_eq!(install_commands(&[&node, &npm]).len(), 1);
    }

    #[test]
    fn the_lock_file_names_exact_versions_and_no_registry() {
        let path = paths::root().join("interop/package-lock.json");
        let locked = locked_packages(&path);
        for name in ["jose", "oauth4webapi", "oidc-provider", "openid-client"] {
            let entry = format!("node_modules/{name}");
            assert!(locked.iter().any(|(found, _)| *found == entry), "{name}");
        }
        let text = std::fs::read_to_string(path).expect("the lock file is committed");
        assert!(
            !text.contains("\"resolved\""),
            "a lock file names packages, not hosts"
        );
    }
}
