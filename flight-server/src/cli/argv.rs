//! The article's command line for `datagen`, taken verbatim.
//!
//! Its options are long names behind a single dash (`-create`), which a POSIX parser reads as a bundle of one-letter options. They are given
//! their second dash here, for this one command, before the parser sees them.

use std::ffi::OsString;

/// Long options of `datagen` that may be written with one dash. One-letter options (`-n`, `-s 1`) are no concern of this module.
const SINGLE_DASH: &[&str] = &[
    "create",
    "recreate",
    "file",
    "sample-file",
    "stream",
    "kinesis-stream",
    "shards",
    "num-shards",
    "workers",
    "num-workers",
    "parse-only",
    "read-only",
    "format",
    "rate",
    "repeat",
    "shift-time",
    "verify",
    "endpoint",
    "region",
    "profile",
    "verbose",
    "help",
];

/// Global options that take a value, so that the value is not taken for the command.
const GLOBAL_WITH_VALUE: &[&str] = &["--log-format"];

/// Rewrites `-create` to `--create` and so on where the command is `datagen`; everything else passes through untouched.
pub(crate) fn rewrite(args: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut args: Vec<OsString> = args.into_iter().collect();
    let Some(command) = command_index(&args) else { return args };
    if args[command] != "datagen" {
        return args;
    }
    for arg in args.iter_mut().skip(command + 1) {
        if arg == "--" {
            break;
        }
        if let Some(long) = arg.to_str().and_then(long_spelling) {
            *arg = long.into();
        }
    }
    args
}

fn command_index(args: &[OsString]) -> Option<usize> {
    let mut index = 1;
    while let Some(arg) = args.get(index) {
        let text = arg.to_string_lossy();
        if !text.starts_with('-') {
            return Some(index);
        }
        index += if GLOBAL_WITH_VALUE.contains(&text.as_ref()) { 2 } else { 1 };
    }
    None
}

fn long_spelling(arg: &str) -> Option<String> {
    let name = arg.strip_prefix('-').filter(|rest| !rest.starts_with('-'))?;
    let known = name.split_once('=').map_or(name, |(name, _)| name);
    SINGLE_DASH.contains(&known).then(|| format!("--{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(line: &str) -> String {
        let args = line.split(' ').map(OsString::from);
        rewrite(args)
            .iter()
            .map(|arg| arg.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn the_articles_line_gets_its_second_dash() {
        assert_eq!(
            rewritten("shardflight datagen -f etc/sample_data.txt -create -n nasahttp -s 1"),
            "shardflight datagen -f etc/sample_data.txt --create -n nasahttp -s 1"
        );
        assert_eq!(
            rewritten("shardflight datagen -sample-file=a.log -kinesis-stream s -num-shards=2 -w 4 -p"),
            "shardflight datagen --sample-file=a.log --kinesis-stream s --num-shards=2 -w 4 -p"
        );
        assert_eq!(rewritten("shardflight datagen -help"), "shardflight datagen --help");
    }

    #[test]
    fn bundles_doubles_and_what_follows_a_bare_double_dash_stay() {
        assert_eq!(
            rewritten("shardflight datagen -vv -s1 --create"),
            "shardflight datagen -vv -s1 --create"
        );
        assert_eq!(rewritten("shardflight datagen -- -create"), "shardflight datagen -- -create");
    }

    #[test]
    fn other_commands_are_left_alone() {
        assert_eq!(rewritten("shardflight sql -create"), "shardflight sql -create");
        assert_eq!(rewritten("shardflight"), "shardflight");
        assert_eq!(
            rewritten("shardflight --log-format json -v datagen -create"),
            "shardflight --log-format json -v datagen --create"
        );
        assert_eq!(
            rewritten("shardflight --log-format datagen sql -create"),
            "shardflight --log-format datagen sql -create"
        );
    }
}
