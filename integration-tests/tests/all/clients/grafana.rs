//! A stand-in for Grafana's Flight SQL plugin, which makes its calls, expands its macros and refuses what it refuses.

use std::process::Command;

use integration_tests::environment::grafana;
use serde_json::{Value, json};

use super::{demo, fail, finish, place};

const PANEL: &str = include_str!("../../../../docs/clients/examples/grafana_panel.sql");
const FROM: &str = "1995-08-01T04:00:00Z";
const TO: &str = "1995-08-01T08:00:00Z";

fn asked(arguments: &[&str]) -> Command {
    let mut command = Command::new(grafana().unwrap());
    command.arg(place(&demo().flight)).args(arguments);
    command
}

fn answer(arguments: &[&str]) -> Value {
    let printed = finish("grafana", &mut asked(arguments)).join("\n");
    serde_json::from_str(&printed).unwrap()
}

fn panel(call: &str, sql: &str) -> Value {
    answer(&[call, FROM, TO, "1h", sql])
}

#[test]
fn a_data_source_is_saved_and_browsed() {
    assert_eq!(answer(&["health"])["values"], json!([[1]]));
    let info = answer(&["sql-info"]);
    assert_eq!((&info["0"], &info["504"]), (&json!("shardflight"), &json!("\"")));
    let tables = answer(&["tables"]);
    assert_eq!(
        tables["values"].as_array().unwrap()[1..3],
        [json!(["default"]), json!(["nasahttp"])]
    );
    assert_eq!(
        answer(&["columns", "nasahttp"]),
        json!([
            ["host", "utf8"],
            ["at", "timestamp"],
            ["request", "utf8"],
            ["code", "int64"],
            ["bytes", "int64"]
        ])
    );
}

#[test]
fn a_time_series_of_the_documentation() {
    let frame = panel("time_series", PANEL);
    assert_eq!(frame["names"], json!(["time", "code", "bytes"]));
    let column = |index: usize| frame["values"][index].as_array().unwrap().clone();
    let (times, codes, sums) = (column(0), column(1), column(2));
    // bytes of the log between 04:00 and 08:00 UTC, which are its first four hours, by hour and code
    let sum = |hour: &str, code: i64| -> i64 {
        (0..times.len())
            .filter(|row| times[*row] == json!(format!("1995-08-01T{hour}:00:00Z")) && codes[*row] == json!(code))
            .map(|row| sums[row].as_i64().unwrap())
            .sum()
    };
    assert_eq!(
        ["04", "05", "06", "07"].map(|hour| sum(hour, 200)),
        [27_572_251, 19_745_150, 22_214_013, 19_656_147]
    );
    assert_eq!(["04", "05", "06", "07"].map(|hour| sum(hour, 302)), [2_508, 1_343, 1_041, 1_336]);
}

#[test]
fn every_macro_gives_sql_that_runs() {
    for (sql, columns) in [
        (
            "select $__dateBin(at) as time, count(*) as n from nasahttp where $__timeFilter(at) group by time",
            2,
        ),
        ("select $__dateBinAlias(at), count(*) as n from nasahttp group by at_binned", 2),
        (
            "select $__timeGroup(at, hour), count(*) as n from nasahttp group by $__timeGroup(at, hour)",
            5,
        ),
        (
            "select $__timeGroupAlias(at, minute), count(*) as n from nasahttp group by $__timeGroup(at, minute)",
            6,
        ),
        ("select max(at) as time from nasahttp where at between $__timeFrom and $__timeTo", 1),
        ("select date_bin($__interval, at) as time from nasahttp limit 3", 1),
    ] {
        let frame = panel("table", sql);
        assert_eq!(frame["names"].as_array().unwrap().len(), columns, "{sql}: {frame}");
        assert!(!frame["values"][0].as_array().unwrap().is_empty(), "{sql}: {frame}");
    }
}

#[test]
fn all_rows_come_by_one_endpoint_and_an_error_is_an_error() {
    let frame = panel("table", "select host, at, bytes from nasahttp");
    let bytes = frame["values"][2].as_array().unwrap();
    assert_eq!(bytes.len(), 20_000);
    assert_eq!(bytes.iter().map(|size| size.as_i64().unwrap()).sum::<i64>(), 321_739_411);
    let refused = fail("grafana", &mut asked(&["table", FROM, TO, "1h", "select * from no_such_table"]));
    assert!(refused.contains("no_such_table"), "{refused}");
    // who asks for more endpoints than the plugin reads gets no part of the answer
    let mut many = asked(&["table", FROM, TO, "1h", "select host from nasahttp"]);
    many.env("METADATA", "x-shardflight-endpoints=shard");
    let refused = fail("grafana", &mut many);
    assert!(refused.contains("unsupported endpoint count in response: 4"), "{refused}");
}
