//! The benchmark of DoGet against ROAPI: that it runs, and finds the right rows. What it measures is for the release build.

use std::path::Path;
use std::process::Command;

use integration_tests::environment::python;
use integration_tests::server::program;

use super::finish;

#[test]
fn the_benchmark_runs() {
    let mut command = Command::new(python().unwrap().program("python"));
    command
        .arg("-u")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/doget_throughput.py"))
        .arg("--program")
        .arg(program().unwrap())
        .args(["--rows", "25000", "--runs", "1"]);
    let printed = finish("doget_throughput.py", &mut command).join("\n");
    assert!(printed.contains("median shardflight"), "{printed}");
}
