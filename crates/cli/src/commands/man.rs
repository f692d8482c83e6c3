//! `keybound man DIR`: one manual page per command.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory};

use crate::arguments::Arguments;
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::input::unwritable;

/// Arguments of `keybound man`.
#[derive(Debug, Args)]
#[command(after_help = "`man DIR/keybound.1` shows a page without installing it.")]
pub(crate) struct ManArguments {
    /// Directory for the pages; made when missing
    directory: PathBuf,
}

pub(crate) fn run(arguments: &ManArguments, context: &Context) -> Outcome {
    let directory = &arguments.directory;
    std::fs::create_dir_all(directory).map_err(|error| unwritable(directory, &error))?;
    let mut command = Arguments::command();
    command.build();
    let count = page(&command, "keybound", directory)?;
    let shown = directory.display();
    context
        .output
        .note(format_args!("wrote {count} pages into {shown}"));
    Ok(Exit::Success)
}

/// Writes the page of a command and those beneath it; answers with how many.
fn page(command: &clap::Command, name: &str, directory: &Path) -> Result<usize, Failure> {
    let path = directory.join(format!("{name}.1"));
    let mut text = Vec::new();
    clap_mangen::Man::new(command.clone().display_name(name.to_owned()))
        .title(name.to_owned())
        .render(&mut text)
        .and_then(|()| std::fs::write(&path, &text))
        .map_err(|error| unwritable(&path, &error))?;
    let mut count = 1;
    for inner in command.get_subcommands() {
        if !inner.is_hide_set() && inner.get_name() != "help" {
            count += page(inner, &format!("{name}-{}", inner.get_name()), directory)?;
        }
    }
    Ok(count)
}
