//! `interop spire`: a SPIRE server and agent, built from their Go modules, and our client,
//! checks and guard with what they hand out.
//!
//! Not part of the ordinary tests: the first build takes ten minutes of CPU and needs Go. The
//! executables stay in `target/interop/spire`. Server and agent run on loopback with a folder of
//! their own and end with the verb.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::command::Run;
use crate::failure::Failure;
use crate::paths;

/// The newest release that the Go module proxy was found to have with all it needs.
const VERSION: &str = "v1.13.3";

const DOMAIN: &str = "example.org";
const IDENTITY: &str = "spiffe://example.org/ns/prod/pay";
const NODE: &str = "spiffe://example.org/node";

pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    if !options.is_empty() {
        return Err(Failure::Usage(
            "`cargo xtask interop spire` takes no options".to_owned(),
        ));
    }
    let programs = programs()?;
    let folder = std::env::temp_dir().join(format!("keybound-spire-{}", std::process::id()));
    paths::create_directory(&folder)?;
    let outcome = against(&programs, &folder);
    // A temporary directory that stays behind harms nobody.
    let _ = std::fs::remove_dir_all(&folder);
    outcome
}

/// The folder with both executables, built if they are not there yet.
fn programs() -> Result<PathBuf, Failure> {
    let home = paths::root().join("target/interop/spire");
    let programs = home.join(VERSION);
    let built = ["spire-server", "spire-agent"]
        .iter()
        .all(|name| programs.join(name).exists());
    if built {
        return Ok(programs);
    }
    if Run::new("go").arguments(["version"]).answer().is_none() {
        return Err(Failure::Missing(
            "`interop spire` needs Go, to build SPIRE".to_owned(),
        ));
    }
    let module = format!("github.com/spiffe/spire@{VERSION}");
    let downloaded = Run::new("go")
        .arguments(["mod", "download", "-json", &module])
        .answer()
        .and_then(|answer| serde_json::from_str::<Value>(&answer).ok())
        .and_then(|answer| answer.get("Dir")?.as_str().map(str::to_owned));
    let Some(downloaded) = downloaded else {
        return Err(Failure::Missing(format!(
            "the Go module proxy does not hand out `{module}`"
        )));
    };
    // The module cache is read-only; the build wants a module of its own.
    let source = home.join("source");
    paths::create_directory(&programs)?;
    Run::new("cp")
        .arguments(["-R", &downloaded, &source.to_string_lossy()])
        .wait()?;
    Run::new("chmod")
        .arguments(["-R", "u+w", &source.to_string_lossy()])
        .wait()?;
    Run::new("go")
        .arguments(["build", "-buildvcs=false", "-trimpath", "-o"])
        .arguments([&programs])
        .arguments(["./cmd/spire-server", "./cmd/spire-agent"])
        .directory(&source)
        .wait()?;
    // Only the executables are needed again.
    let _ = std::fs::remove_dir_all(&source);
    Ok(programs)
}

fn against(programs: &Path, folder: &Path) -> Result<(), Failure> {
    let place = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let port = free_port()?;
    paths::write(
        &folder.join("server.conf"),
        &server(&place("server.sock"), &place("server"), port),
    )?;
    let program = |name: &str| programs.join(name).to_string_lossy().into_owned();
    let (server, agent) = (program("spire-server"), program("spire-agent"));
    let socket = ["-socketPath".to_owned(), place("server.sock")];
    let _server = Started::new(&server, &["run", "-config", &place("server.conf")])?;
    wait_for(|| healthy(&server, &socket))?;
    let bundle = Run::new(&server).arguments(["bundle", "show"]);
    let bundle = answer(bundle.arguments(&socket), "bundle show")?;
    paths::write(&folder.join("bundle.pem"), &bundle)?;
    let token = Run::new(&server).arguments(["token", "generate", "-spiffeID", NODE]);
    let token = answer(token.arguments(&socket), "token generate")?;
    let token = token.trim_start_matches("Token:").trim().to_owned();
    let user = answer(Run::new("id").arguments(["-u"]), "id -u")?;
    let entry = Run::new(&server)
        .arguments(["entry", "create", "-parentID", NODE, "-spiffeID", IDENTITY])
        .arguments(["-selector", &format!("unix:uid:{user}")]);
    answer(entry.arguments(&socket), "entry create")?;
    paths::write(
        &folder.join("agent.conf"),
        &self::agent(
            &place("agent.sock"),
            &place("agent"),
            &place("bundle.pem"),
            port,
        ),
    )?;
    let arguments = ["run", "-config", &place("agent.conf"), "-joinToken", &token];
    let _agent = Started::new(&agent, &arguments)?;
    let socket = ["-socketPath".to_owned(), place("agent.sock")];
    wait_for(|| healthy(&agent, &socket))?;
    Run::cargo()
        .arguments(["run", "--locked", "--package", "keybound-testkit"])
        .arguments([
            "--example",
            "spire",
            "--",
            &place("agent.sock"),
            DOMAIN,
            IDENTITY,
        ])
        .wait()
}

fn server(socket: &str, data: &str, port: u16) -> String {
    format!(
        r#"server {{
  bind_address = "127.0.0.1"
  bind_port = "{port}"
  socket_path = "{socket}"
  trust_domain = "{DOMAIN}"
  data_dir = "{data}"
  log_level = "WARN"
}}
plugins {{
  DataStore "sql" {{ plugin_data {{ database_type = "sqlite3" connection_string = "{data}.sqlite3" }} }}
  KeyManager "memory" {{ plugin_data {{}} }}
  NodeAttestor "join_token" {{ plugin_data {{}} }}
}}
"#
    )
}

fn agent(socket: &str, data: &str, bundle: &str, port: u16) -> String {
    format!(
        r#"agent {{
  data_dir = "{data}"
  log_level = "WARN"
  server_address = "127.0.0.1"
  server_port = "{port}"
  socket_path = "{socket}"
  trust_domain = "{DOMAIN}"
  trust_bundle_path = "{bundle}"
}}
plugins {{
  KeyManager "memory" {{ plugin_data {{}} }}
  NodeAttestor "join_token" {{ plugin_data {{}} }}
  WorkloadAttestor "unix" {{ plugin_data {{}} }}
}}
"#
    )
}

/// A program that ends with this value.
struct Started(Child);

impl Started {
    fn new(program: &str, arguments: &[&str]) -> Result<Self, Failure> {
        // A join token is for one use within minutes; still, arguments are not shown.
        println!("\n$ {program} run");
        Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map(Self)
            .map_err(|source| Failure::Start {
                command: program.to_owned(),
                source,
            })
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn healthy(program: &str, socket: &[String]) -> bool {
    let check = Run::new(program).arguments(["healthcheck"]);
    check.arguments(socket).answer().is_some()
}

fn wait_for(mut holds: impl FnMut() -> bool) -> Result<(), Failure> {
    for _ in 0..150 {
        if holds() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Err(Failure::Findings(vec![
        "SPIRE did not become ready within 30 s".to_owned(),
    ]))
}

fn answer(run: Run, command: &str) -> Result<String, Failure> {
    run.answer().ok_or_else(|| Failure::Command {
        command: command.to_owned(),
        status: "no answer".to_owned(),
    })
}

/// A port nobody listens on now.
fn free_port() -> Result<u16, Failure> {
    let failed = |source| Failure::Start {
        command: "a listener on loopback".to_owned(),
        source,
    };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(failed)?;
    Ok(listener.local_addr().map_err(failed)?.port())
}
