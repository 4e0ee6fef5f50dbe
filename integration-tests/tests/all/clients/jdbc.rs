//! The JDBC driver of arrow-java.

use integration_tests::environment::{Java, java};

use super::{demo, finish, place};

#[test]
fn the_driver_finds_all_that_it_asks_for() {
    let mut command = java().unwrap().command(&Java::program("Driver.java"));
    command.arg(place(&demo().flight));
    for line in finish("Driver.java", &mut command) {
        println!("{line}");
    }
}
