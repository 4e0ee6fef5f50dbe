//! A table with a column of every type, nested ones too, through every client.

use std::fs;
use std::process::Command;

use integration_tests::backends::Backend;
use integration_tests::environment::{grafana, python, scratch_directory};
use integration_tests::server::{Server, run_script};

use super::{fail, finish, jdbc_rows};

/// All columns, and the rows in order.
fn statement(directory: &std::path::Path) -> String {
    let definition = fs::read_to_string(directory.join("tables/every_type.yaml")).unwrap();
    let names: Vec<&str> = definition
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- { name: ")?.split(',').next())
        .collect();
    format!("select {} from every_type order by id", names.join(", "))
}

#[test]
fn values_of_every_type_reach_every_client() {
    let running = Backend::Embedded.start().unwrap();
    let directory = scratch_directory("every-type").unwrap();
    let tables = directory.join("tables");
    fs::create_dir_all(&tables).unwrap();
    run_script("every_type.py", &["put", &running.endpoint]).unwrap();
    run_script("every_type.py", &["tables", tables.to_str().unwrap()]).unwrap();
    let server = Server::start(&directory, &running.endpoint, "").unwrap();
    let flight = format!("grpc://{}", server.flight);

    // ADBC, pyarrow, pandas, polars
    run_script("every_type.py", &["check", &flight]).unwrap();

    let sql = statement(&directory);
    let mut wanted = python().unwrap().command("every_type.py");
    wanted.arg("lines");
    let wanted = finish("every_type.py", &mut wanted);
    assert_eq!(wanted.len(), 3);
    assert_eq!(finish("EveryType.java", &mut jdbc_rows(&flight, &sql, &[])), wanted);

    // Grafana's plugin, which has fields for few types
    let panel = |metadata: &str| {
        let mut command = Command::new(grafana().unwrap());
        let address = server.flight.to_string();
        let arguments = [
            address.as_str(),
            "table",
            "2024-01-01T00:00:00Z",
            "2024-01-01T00:00:00Z",
            "1s",
            &sql,
        ];
        command.args(arguments).env("METADATA", metadata);
        command
    };
    let refused = fail("grafana", &mut panel(""));
    assert!(refused.contains("the plugin has no field for decimal"), "{refused}");
    let frame = directory.join("frame.json");
    fs::write(&frame, finish("grafana", &mut panel("x-shardflight-flat-types=true")).join("\n")).unwrap();
    run_script("every_type.py", &["flat", frame.to_str().unwrap()]).unwrap();
}
