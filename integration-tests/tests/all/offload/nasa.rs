//! A log of the real world: into a stream, into a lake, and what is there against what an independent parser finds in the log.

use integration_tests::backends::Backend;
use integration_tests::server::{run as program, run_script};

use super::*;

const LOG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../flight-server/demo/nasa_aug01_first20000.log");

#[tokio::test(flavor = "multi_thread")]
async fn the_log_comes_into_the_lake_line_by_line() {
    let running = Backend::Embedded.start().unwrap();
    let directory = scratch_directory("offload-nasa").unwrap();
    std::fs::create_dir_all(directory.join("tables")).unwrap();
    let definition = concat!(env!("CARGO_MANIFEST_DIR"), "/../flight-server/demo/nasahttp.yaml");
    std::fs::copy(definition, directory.join("tables/nasahttp.yaml")).unwrap();
    let generated = [
        "datagen",
        "-f",
        LOG,
        "--create",
        "-n",
        "nasahttp",
        "-s",
        "3",
        "--endpoint",
        &running.endpoint,
    ];
    program(&generated, PATIENCE).unwrap();
    let location = file_url(&directory.join("lake/nasa"));
    let settings = format!(
        "allow: {{ write: [\"{}\"] }}\nreader: {{ calls_per_second: 1000, bytes_per_second: 1GB }}\n",
        file_url(&directory.join("lake"))
    );
    let mut server = Server::start(&directory, &running.endpoint, &settings).unwrap();
    let create = format!(
        "CREATE OFFLOAD nasa_lake PARTITIONED BY (code) STORED AS DELTA LOCATION '{location}' \
         OPTIONS (every '1h', iteration_max '300kB') AS SELECT * FROM nasahttp"
    );
    run(&server, &create).await;
    run(&server, "ALTER OFFLOAD nasa_lake PAUSE").await;
    server.process.signal("TERM").unwrap();
    assert!(server.process.wait(PATIENCE).unwrap().success(), "{}", server.process.output());
    // libraries keep what they hold to themselves
    assert!(
        server.process.output().lines().all(|line| line.len() < 500),
        "{}",
        server.process.output()
    );
    // the same job by the command, without a server
    let config = directory.join("shardflight.yaml").display().to_string();
    let told = program(&["offload", "run", "nasa_lake", "--config", &config], PATIENCE).unwrap();
    assert!(
        told[0].starts_with("nasa_lake: ") && told[0].ends_with(" 0 bad records"),
        "{told:?}"
    );
    run_script("lake_rows.py", &[&location, "-", "nasa"]).unwrap();
    let again = program(&["offload", "run", "nasa_lake", "--config", &config], PATIENCE).unwrap();
    assert_eq!(again, ["nasa_lake: 0 iterations, 0 rows, 0 files, 0 bytes, 0 bad records"]);
    let checked = program(&["offload", "check", "nasa_lake", "--config", &config], PATIENCE).unwrap();
    assert!(checked.iter().all(|line| line.starts_with("ok ")), "{checked:?}");
    let listed = program(&["offload", "list", "--format", "csv", "--config", &config], PATIENCE).unwrap();
    assert!(
        listed.len() == 2 && listed[1].starts_with("nasa_lake,default.nasahttp,file://"),
        "{listed:?}"
    );
    let missing = program(&["offload", "run", "nowhere", "--config", &config], PATIENCE).unwrap_err();
    assert!(missing.to_string().contains("no offload `nowhere`"), "{missing}");
}
