//! pandas, polars, SQLAlchemy and flightsql-dbapi, and parameters by the drivers that bind them.

use integration_tests::server::run_script;

use super::demo;

#[test]
fn frames_and_engines_find_the_logs_rows() {
    run_script("frames_client.py", &[&demo().flight]).unwrap();
}

#[test]
fn parameters_are_bound() {
    run_script("parameters_client.py", &[&demo().flight]).unwrap();
}
