use super::*;

fn parse(pattern: Option<&str>, unit: TimeUnit, text: &str) -> Option<i64> {
    let mut parser = TimestampParser::new(
        Reading::new(pattern.map(FieldFormat::parse).as_ref(), Pattern::timestamp).unwrap(),
        unit,
        false,
    );
    let first = parser.parse(text);
    assert_eq!(parser.parse(text), first, "the cache agrees");
    first
}

#[test]
fn patterned_timestamps() {
    // date -d '1995-08-01 00:00:01 -0400' +%s
    let log = Some("%d/%b/%Y:%H:%M:%S %z");
    assert_eq!(parse(log, TimeUnit::Second, "01/Aug/1995:00:00:01 -0400"), Some(807_249_601));
    assert_eq!(
        parse(log, TimeUnit::Millisecond, "01/aug/1995:00:00:01 -0400"),
        Some(807_249_601_000)
    );
    for bad in [
        "",
        "junk",
        "32/Aug/1995:00:00:01 -0400",
        "01/Aug/1995:00:00:01",
        "01/Aug/1995:00:00:01 -0400 x",
        "01/Aug/1995:24:00:00 -0400",
    ] {
        assert_eq!(parse(log, TimeUnit::Second, bad), None, "{bad}");
    }
    // The whole minute before the epoch with a fraction: cut off towards the past.
    assert_eq!(
        parse(Some("%Y-%m-%d %H:%M:%S%.f"), TimeUnit::Second, "1969-12-31 23:59:59.9"),
        Some(-1)
    );
    assert_eq!(parse(Some("%s"), TimeUnit::Millisecond, "12"), Some(12_000));
    assert_eq!(parse(Some("%Y%m%d"), TimeUnit::Second, "19700102"), Some(86_400));
}

#[test]
fn plain_timestamps() {
    let ms = |text: &str| parse(None, TimeUnit::Millisecond, text);
    // date -u -d '2016-07-10 12:03:56.124' +%s%3N
    for text in [
        "2016-07-10T12:03:56.124Z",
        "2016-07-10 12:03:56.124",
        "2016-07-10T05:03:56.124-07:00",
        "1468152236124",
        "1468152236124.0",
    ] {
        assert_eq!(ms(text), Some(1_468_152_236_124), "{text}");
    }
    assert_eq!(ms("2016-07-10"), Some(1_468_108_800_000));
    assert_eq!(
        parse(None, TimeUnit::Second, "-1"),
        Some(-1),
        "one millisecond before the epoch lies in second -1"
    );
    assert_eq!(
        parse(None, TimeUnit::Nanosecond, "1677-09-21T00:12:43.145224192Z"),
        Some(i64::MIN),
        "the first nanosecond that fits"
    );
    for bad in [
        "",
        "12.5",
        "yesterday",
        "2016-07-10T25:00:00Z",
        "2016-02-30",
        "2016-07-10 12:03:56 Europe/Berlin",
        "true",
    ] {
        assert_eq!(ms(bad), None, "{bad}");
    }
    assert_eq!(
        parse(None, TimeUnit::Nanosecond, "2300-01-01"),
        None,
        "beyond 64 bits of nanoseconds"
    );
}

#[test]
fn the_usual_spelling_is_read_as_arrow_reads_it() {
    for text in [
        "2016-07-10T12:03:56",
        "2016-07-10 12:03:56Z",
        "2016-07-10T12:03:56.1",
        "1969-12-31T23:59:59.123456789Z",
        "0001-01-01 00:00:00",
        "2000-02-29T00:00:00.000Z",
    ] {
        let arrow = string_to_datetime(&Utc, text).unwrap();
        assert_eq!(
            usual_instant(text.as_bytes()),
            Some((arrow.timestamp(), arrow.timestamp_subsec_nanos())),
            "{text}"
        );
    }
    for text in [
        "2016-07-10T12:03",
        "2016-07-10T24:00:00",
        "2016-07-10T12:03:60",
        "2016-02-30T12:03:56",
        "2016-07-10T12:03:56+02:00",
        "2016-07-10T12:03:56.",
        "2016-07-10T12:03:56.1x",
    ] {
        assert_eq!(usual_instant(text.as_bytes()), None, "{text}");
    }
}

#[test]
fn dates() {
    let plain = DateParser::new(Reading::Plain);
    assert_eq!(plain.parse("1970-01-02"), Some(1));
    assert_eq!(plain.parse("1969-12-31"), Some(-1));
    for bad in ["", "1970-1-2", "19700102", "1970-01-02T00:00:00Z", "1"] {
        assert_eq!(plain.parse(bad), None, "{bad}");
    }
    let patterned = DateParser::new(Reading::Pattern(Box::new(Pattern::date("%d.%m.%Y").unwrap())));
    assert_eq!(patterned.parse("02.01.1970"), Some(1));
}

#[test]
fn patterns_that_cannot_work_are_refused() {
    assert!(Pattern::timestamp("%Q").unwrap_err().contains("not a strftime pattern"));
    assert!(Pattern::timestamp("%H:%M:%S").unwrap_err().contains("complete date"));
    assert!(Pattern::timestamp("%d/%b").unwrap_err().contains("complete date"));
    assert!(Pattern::timestamp("constant").unwrap_err().contains("complete date"));
    assert!(Pattern::timestamp("%Y-%m-%d %I:%M").is_err(), "hours of 12 without am or pm");
    assert!(Pattern::timestamp("%Y-%m-%d %H:%M:%S %Z %z").unwrap_err().contains("twice"));
    assert!(Pattern::date("%H:%M").is_err());
    assert!(Pattern::timestamp("%Y-%m-%d").is_ok());
    assert!(Pattern::timestamp("%+").is_ok());
}

/// Python: `int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(name)).timestamp())`
#[test]
fn names_of_zones() {
    let zone = Some("%Y-%m-%d %H:%M:%S %Z");
    for (text, expected) in [
        ("2024-07-01 10:00:00 Europe/Berlin", Some(1_719_820_800)),
        ("2024-10-27 02:30:00 Europe/Berlin", Some(1_729_989_000)),
        ("2024-01-01 00:00:00 America/New_York", Some(1_704_085_200)),
        ("2024-01-01 00:00:00 EST", Some(1_704_085_200)),
        ("2024-07-01 12:00:00 PDT", Some(1_719_860_400)),
        ("2024-07-01 08:00:00 UTC", Some(1_719_820_800)),
        ("2024-07-01 08:00:00 GMT", Some(1_719_820_800)),
        ("2024-03-31 02:30:00 Europe/Berlin", None),
        ("2024-07-01 10:00:00 Europe/Nowhere", None),
        ("2024-07-01 10:00:00 IST", None),
        ("2024-07-01 10:00:00 ", None),
        ("2024-07-01 10:00:00 UTC x", None),
    ] {
        assert_eq!(parse(zone, TimeUnit::Second, text), expected, "{text}");
    }
    // As `date` writes it, and with two digits of the year.
    assert_eq!(
        parse(Some("%a %b %d %H:%M:%S %Z %Y"), TimeUnit::Second, "Mon Jan 01 00:00:00 EST 2024"),
        Some(1_704_085_200)
    );
    let day = |text: &str| parse(Some("%d/%m/%y"), TimeUnit::Second, text).map(|seconds| seconds / 86_400);
    assert_eq!((day("01/01/70"), day("31/12/69"), day("02/01/1970")), (Some(0), Some(36_524), None));
}
