//! The program `shardflight`.

use std::process::ExitCode;

fn main() -> ExitCode {
    flight_server::cli::main()
}
