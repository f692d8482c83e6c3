//! `keybound reference DIR`, hidden: writes the pages of the reference that
//! are made from the program, so that a test can compare them.

mod probe;
mod shapes;

use std::path::PathBuf;

use clap::{Args, CommandFactory};

use crate::arguments::Arguments;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Outcome;
use crate::input::unwritable;

/// Arguments of `keybound reference`.
#[derive(Debug, Args)]
pub(crate) struct ReferenceArguments {
    /// Directory for the pages
    directory: PathBuf,
}

pub(crate) fn run(arguments: &ReferenceArguments, context: &Context) -> Outcome {
    for (name, text) in pages() {
        let path = arguments.directory.join(name);
        std::fs::write(&path, text).map_err(|error| unwritable(&path, &error))?;
        context
            .output
            .note(format_args!("wrote {}", path.display()));
    }
    Ok(Exit::Success)
}

/// The generated pages by file name.
fn pages() -> [(&'static str, String); 5] {
    [
        (
            "config.md",
            crate::config::reference::markdown(&crate::config::schema()),
        ),
        ("cli.md", command_line()),
        ("exit-codes.md", exit_codes()),
        ("probe.md", probe::markdown()),
        ("probe.schema.json", keybound_probe::output::schema()),
    ]
}

fn exit_codes() -> String {
    let mut page = String::from(EXIT_CODES_HEAD);
    for exit in Exit::ALL {
        page.push_str(&format!("| {} | {} |\n", exit.code(), exit.meaning()));
    }
    page.push_str(EXIT_CODES_TAIL);
    page
}

fn command_line() -> String {
    let mut page = String::from(COMMAND_LINE_HEAD);
    let mut command = Arguments::command()
        .term_width(100)
        .styles(clap::builder::Styles::plain());
    command.build();
    section(&mut page, &mut command, "keybound");
    page.push_str(&shapes::markdown());
    page
}

fn section(page: &mut String, command: &mut clap::Command, name: &str) {
    let help = command.render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    let help = lines.join("\n");
    page.push_str(&format!(
        "\n## {name}\n\n```text\n{}\n```\n",
        help.trim_end()
    ));
    for inner in command.get_subcommands_mut() {
        if !inner.is_hide_set() && inner.get_name() != "help" {
            let name = format!("{name} {}", inner.get_name());
            section(page, inner, &name);
        }
    }
}

const EXIT_CODES_HEAD: &str = "\
# Exit codes

Every command ends with one of these. A code has one meaning over all commands.

| code | meaning |
|---|---|
";

const EXIT_CODES_TAIL: &str = "\
| 128 + n | killed by signal n |

Codes 0 to 3 mean what they mean in other scanners of secrets, so that scripts carry over.

`keybound request` maps the answer of the server: 2xx and 3xx end with 0, 401 with 3, 404 with 4, 403 and the other 4xx
with 5, 5xx with 8; no answer, or none in time, with 7.

| situation | code |
|---|---|
| an option that does not exist, a value that does not fit | 2 |
| a configuration with a typo, or one that names a file that cannot be read | 2 |
| a key file that others can read, or that holds no key | 3 |
| a key file that does not exist | 4 |
| a port that is taken, a database that cannot be opened | 9 |
| `serve` or `dev` ended by SIGTERM or SIGINT with every request answered | 0 |
| `serve` or `dev` ended with requests cut off at the deadline | 9 |
| a step of `demo` that differs from what is expected | 1 |
| `probe` found something that is not enforced and that no baseline names | 1 |
| `probe` without consent, or with an id that no check has | 2 |
| `probe` whose token or client is refused | 3 |
| `probe` that could not decide everything, and found nothing | 6 |
| `proof verify` or `proof explain` of a proof that does not hold | 1 |
";

const COMMAND_LINE_HEAD: &str = "\
# Command line

Made from the program itself: `keybound COMMAND --help` prints the same.

- **stdout is data, stderr is talk.** `--json` makes the data one JSON document, or one line each for a stream
  (`keybound events tail`); `--quiet` silences the talk and never the data.
- **A failure with `--json`** is an object on stderr:
  `{\"error\": {\"code\": \"…\", \"message\": \"…\", \"next\": \"…\", \"request_id\": \"…\"}}`; `next` and `request_id` are left out where
  there is nothing to say. `code` is one of `usage`, `config`, `authentication`, `not_found`, `refused`, `unreachable`,
  `server`, `lifecycle`, `internal`.
- **Exit codes** stand in [exit-codes.md](exit-codes.md).
- **Colour** appears on a terminal only, and never with `NO_COLOR` set or `--no-color`.
- **Secrets are never arguments**: they are read from stdin (`-`) or from a file (`@file`); the token of `probe` also from
  `KEYBOUND_TOKEN`.
";

#[cfg(test)]
mod tests {
    #[test]
    fn every_row_says_what_it_means() {
        for (name, page) in super::pages() {
            let empty = page
                .lines()
                .find(|line| line.starts_with('|') && line.ends_with("|  |"));
            assert_eq!(empty, None, "{name}");
        }
    }

    #[test]
    fn the_pages_in_the_repository_are_those_this_program_makes() {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference");
        for (name, made) in super::pages() {
            let path = format!("{directory}/{name}");
            let written = std::fs::read_to_string(&path).expect(&path);
            assert_eq!(
                written, made,
                "run `keybound reference docs/reference` to renew {name}"
            );
        }
    }
}
